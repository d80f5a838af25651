import type { Sign } from '../domain/webhook.ts'
import type { Delivery, Turn } from '../service/deliveries.ts'
import type { Result } from '../service/webhook-results.ts'

/** Turns and attempts under way, and how much there may be of both. */

/** Under way in this process at once. */
export const MOST_IN_ALL = 512
/** Of them, those that have not taken long yet. Who takes longer gives its place here to another. */
export const MOST_SWIFT = 128
export const SWIFT_MS = 1_000
/** Of all, those to endpoints that fail: the others always find room. */
export const MOST_FAILING = MOST_IN_ALL / 2
/** In hand, and not yet begun. */
export const MOST_QUEUED = 4_096
/** In a turn nothing is begun after this: then others have theirs, and everything is looked at anew. */
export const TURN_MS = 1_000
/** A turn, the attempts begun at its end, and time to write them. The endpoint of a worker that died waits this long. */
export const LEASE_MS = 10_000
/** An attempt that was handed over is nobody else's for so much longer than it can take. */
export const GRACE_MS = 5_000
/** Written in one statement. */
export const MOST_RECORDED = 500

/** A turn as it goes on. */
export interface Course {
  turn: Turn
  sign: Sign | undefined
  /** Of its deliveries, the first that has not begun. */
  next: number
  /** Of those that have, how many may be under way at once, and are. */
  width: number
  under: number
  /** `performance.now()` */
  since: number
  /** Nothing more is begun. */
  over: boolean
}

/** An attempt under way. */
export interface Flight {
  course: Course
  delivery: Delivery
  since: number
  /** Its turn does not wait for it. */
  slow: boolean
  /** And it is written that it goes on. */
  late: boolean
  result: Result | undefined
}

/** How far in the feed everything of a turn has begun. */
export function placeOf({ turn: { deliveries, from, to }, next }: Course): string {
  if (next === deliveries.length) return to
  return deliveries.slice(0, next).findLast(({ known }) => !known)?.position ?? from
}
