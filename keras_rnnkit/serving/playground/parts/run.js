/** Work that can be stopped: at most one at a time in a view. */

/**
 * Runs work, with the buttons that start it disabled and the button that stops it enabled meanwhile.
 */
export class Runner {
  /**
   * @param {{show: (sentence: string) => void}} problem where errors are shown
   * @param {HTMLButtonElement[]} starters disabled while something runs
   * @param {HTMLButtonElement | null} stopper enabled while something runs
   */
  constructor(problem, starters, stopper = null) {
    Object.assign(this, { problem, starters, stopper, controller: null });
    if (stopper) {
      stopper.disabled = true;
      stopper.addEventListener("click", () => this.stop());
    }
  }

  get running() {
    return this.controller !== null;
  }

  /**
   * Starts work, unless something runs already.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(work) {
    if (this.running) return;
    this.controller = new AbortController();
    this.problem.show("");
    this.mark();
    try {
      await work(this.controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.problem.show(error.message);
    } finally {
      this.controller = null;
      this.mark();
    }
  }

  /** Ends what runs; it is told by its signal. */
  stop() {
    this.controller?.abort();
  }

  mark() {
    for (const button of this.starters) button.disabled = this.running;
    if (this.stopper) this.stopper.disabled = !this.running;
  }
}
