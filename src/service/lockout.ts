import { LRUCache } from 'lru-cache'
import { Problem, says } from '../domain/problems.ts'

/** Wrong guesses per login and window. Ten in a quarter of an hour are a thousand a day, and nobody's typing errors. */
const MOST = 10
const WINDOW_MS = 15 * 60_000

interface Account {
  failed: number
  until: number
  /** The last attempt that is under way or waiting. */
  turn: Promise<unknown>
}

/**
 * Counts wrong passwords, of known and unknown logins alike. In memory: each process counts for itself and forgets when
 * it restarts, so n processes allow n times as many guesses.
 */
export class Lockout {
  readonly #accounts = new LRUCache<string, Account>({ max: 50_000 })

  /**
   * Attempts at one login take turns: a thousand guesses at once are counted one by one, and cost one core at most.
   * @param attempt finds undefined when the guess was wrong
   * @throws Problem rate-limited, with `retryAfter` in seconds
   */
  guarded<T>(login: string, nowMs: number, attempt: () => Promise<T | undefined>): Promise<T | undefined> {
    const account = this.#accounts.get(login) ?? { failed: 0, until: 0, turn: Promise.resolve() }
    this.#accounts.set(login, account)
    const mine = account.turn.then(() => tried(account, nowMs, attempt))
    account.turn = mine.catch(() => undefined)
    return mine
  }
}

async function tried<T>(account: Account, nowMs: number, attempt: () => Promise<T | undefined>): Promise<T | undefined> {
  if (nowMs >= account.until) Object.assign(account, { failed: 0, until: nowMs + WINDOW_MS })
  if (account.failed >= MOST) {
    const retryAfter = Math.ceil((account.until - nowMs) / 1000)
    throw new Problem('rate-limited', { facts: { retryAfter }, detail: says('登录失败次数过多，请稍后再试', 'Too many failed logins, try again later') })
  }
  const found = await attempt()
  account.failed = found === undefined ? account.failed + 1 : 0
  return found
}
