/** What bounds the acts of a brain process. */
export interface ActLimits {
  /** An act that moves nothing for this long is dropped. */
  stallMsMax: number;
  /** Heartbeats without the act, sent after the mover accepted it, until it counts as lost. */
  missedBeatsMax: number;
  /** Attempts to hand an act over. */
  startAttemptsMax: number;
  activeMax: number;
  /** Answers kept for movers that report again. */
  answersMax: number;
}
export const actLimits: ActLimits = {
  stallMsMax: 60_000,
  missedBeatsMax: 2,
  startAttemptsMax: 3,
  activeMax: 4096,
  answersMax: 10_000,
};
