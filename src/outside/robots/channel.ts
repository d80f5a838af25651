import type { RefusedReason } from '../../domain/robot.ts'

/** A robot in the clear: both parts let whoever has them write into the group. */
export interface Address {
  readonly url: string
  /** 加签 secret; null where the robot is secured otherwise, or cannot be signed for. */
  readonly secret: string | null
}

export interface RobotRequest {
  readonly url: string
  readonly body: string
}

/** What an answer says by its number, whatever its status: these vendors refuse with 200. */
export type Meaning = 'delivered' | 'throttled' | RefusedReason | 'unknown'

/** One vendor's group robots. */
export interface RobotChannel {
  readonly hosts: readonly string[]
  /** Bytes of UTF-8 in one text. */
  readonly mostBytes: number
  /** What names the robot in its URL; undefined when the URL is not whole. */
  tokenOf(url: URL): string | undefined
  /** @param now receivers refuse what is an hour old */
  request(address: Address, text: string, now: Date): RobotRequest
  /** The vendor's number in the answer, and what it means. */
  read(answer: Answer): { code: string; meaning: Meaning } | undefined
}

/** Of the body only what is used: other words may quote what was sent. */
export interface Answer {
  readonly status: number
  readonly excerpt: string
}

/** A number from the answer's JSON, also when only its beginning was kept. */
export function numberIn(excerpt: string, name: string): string | undefined {
  return new RegExp(`"${name}"\\s*:\\s*"?(-?\\d{1,12})`).exec(excerpt)?.[1]
}

/** Codes by what they mean, turned round for look-up. */
export const meaningOf = (meanings: Readonly<Partial<Record<Meaning, readonly string[]>>>, code: string): Meaning =>
  (Object.entries(meanings) as [Meaning, readonly string[]][]).find(([, codes]) => codes.includes(code))?.[0] ?? 'unknown'
