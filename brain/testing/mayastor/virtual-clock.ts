/** A clock that jumps to the next timer whenever everybody waits: hours pass in milliseconds, and every run is the same. */
import { settle, TimerClock } from "@couchestor/common/testing/timer-clock.ts";

export class VirtualClock extends TimerClock {
  /** Lets time go on until the work has ended, or for `maxMs`; then it is false. */
  async run(work: Promise<unknown>, maxMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    work.then(end, end);
    const untilMs = this.monotonicMs() + maxMs;
    await settle();
    while (!ended) if (!(await this.step(untilMs))) return false;
    return true;
  }

  /** Lets so much time go by. */
  async pass(ms: number): Promise<void> {
    await this.run(this.sleep(ms));
  }

  /** The result of work that needs time to go on. */
  async over<T>(work: Promise<T>): Promise<T> {
    if (!(await this.run(work))) throw new Error("the work waits for something that never happens");
    return await work;
  }
}
