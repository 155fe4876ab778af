/** Work that can be stopped: at most one at a time in a view. */

/** Runs work, with the buttons that start it disabled and the button that stops it enabled meanwhile. */
export class Runner {
  /**
   * @param {{show: (sentence: string) => void}} problem where errors are shown
   * @param {(HTMLButtonElement | HTMLSelectElement)[]} starters disabled while something runs
   * @param {HTMLButtonElement | null} stopper enabled while something runs
   */
  constructor(problem, starters, stopper = null) {
    this.problem = problem;
    this.starters = starters;
    this.stopper = stopper;
    this.controller = null;
    this.ended = Promise.resolve();
    this.latest = null;
    if (stopper) {
      stopper.disabled = true;
      stopper.addEventListener("click", () => this.stop());
    }
  }

  /**
   * Starts work, unless something runs already.
   * @param {(signal: AbortSignal) => Promise<void>} work
   */
  async run(work) {
    if (this.controller) return;
    this.controller = new AbortController();
    this.problem.show("");
    this.mark();
    this.ended = this.finish(work, this.controller.signal);
    await this.ended;
  }

  async finish(work, signal) {
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.problem.show(error.message);
    } finally {
      this.controller = null;
      this.mark();
    }
  }

  /** Starts work in the place of what runs; of several that wait for its end, the last. */
  async restart(work) {
    this.latest = work;
    this.stop();
    await this.ended;
    if (this.latest === work) await this.run(work);
  }

  /** Ends what runs; it is told by its signal. */
  stop() {
    this.controller?.abort();
  }

  mark() {
    for (const starter of this.starters) starter.disabled = this.controller !== null;
    if (this.stopper) this.stopper.disabled = this.controller === null;
  }
}
