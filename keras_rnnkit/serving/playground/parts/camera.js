/** What a camera sees, picture by picture. Nothing of it leaves the page by this. */

import { element } from "./dom.js";

const REASONS = {
  NotAllowedError: "The camera may not be used by this page. Allow it in the settings of the browser.",
  NotFoundError: "There is no camera. Connect one, or use an image file.",
  NotReadableError: "The camera is in use by another program. Close that program first.",
};

/**
 * @param {(picture: HTMLCanvasElement) => Promise<void>} see told each picture; the next one is taken when it is done
 * @param {(sentence: string) => void} complain
 */
export function cameraBox(see, complain) {
  const video = element("video", { className: "camera", muted: true, playsInline: true, hidden: true, "aria-label": "What the camera sees" });
  const button = element("button", { type: "button", onclick: () => (stream ? stop() : start()) }, "Start the camera");
  let stream = null;

  async function start() {
    complain("");
    try {
      stream = await opened();
    } catch (error) {
      complain(REASONS[error.name] ?? error.message);
      return;
    }
    video.srcObject = stream;
    await video.play();
    [video.hidden, button.textContent] = [false, "Stop the camera"];
    while (stream) {
      await see(pictureOf(video));
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }

  function stop() {
    for (const track of stream?.getTracks() ?? []) track.stop();
    [stream, video.hidden, button.textContent] = [null, true, "Start the camera"];
  }

  return { node: element("div", { className: "stack" }, element("div", { className: "row" }, button), video), stop };
}

async function opened() {
  if (!navigator.mediaDevices) throw new Error("This browser gives no camera to a page of plain http. Open the page by https, or on localhost.");
  return navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
}

function pictureOf(video) {
  const canvas = element("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas;
}
