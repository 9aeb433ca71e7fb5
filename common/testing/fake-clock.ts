/** A clock that stands still until the test moves it; what its timers wake is given the chance to run before time goes on. */
import { settle, TimerClock } from "./timer-clock.ts";

export class FakeClock extends TimerClock {
  /** Moves both times forward by `ms`, running what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.monotonicMs() + ms;
    await settle();
    while (await this.step(untilMs));
  }
}
