import { createHmac } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { LRUCache } from 'lru-cache'
import type pg from 'pg'
import { SYSTEM } from '../domain/actor.ts'
import { code } from '../domain/atoms.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { transaction } from './transaction.ts'

/**
 * Wrong guesses in a quarter of an hour. Ten of a login are a thousand a day, and nobody's typing errors; an address may be
 * a whole office behind one router, so it has a budget of its own, against those who try one password on every login.
 */
const MOST = { login: 10, address: 100 } as const
const WINDOW = `interval '15 minutes'`
type By = keyof typeof MOST

export interface Guesser {
  login: string
  /** IP the guess came from; left out where the caller is known already. */
  address?: string | undefined
}

interface Deps {
  db: Db
  keyring: Keyring
}

/**
 * Counts wrong passwords and codes, of known and unknown logins alike, in the database: n processes allow no more guesses
 * than one, and a restart forgets none.
 */
export class Lockout {
  /** The last attempt at a login that is under way or waiting. */
  readonly #turns = new LRUCache<string, Promise<unknown>>({ max: 50_000 })
  readonly #locked: (by: By) => void

  /** @param locked hears once of each lock-out, of whatever process was the first to refuse; of nobody's name */
  constructor(locked: (by: By) => void = () => {}) {
    this.#locked = locked
  }

  /**
   * Attempts at one login take turns in this process: a thousand guesses at once cost one core at most.
   * @param attempt finds undefined when the guess was wrong
   * @throws Problem rate-limited, with `retryAfter` in seconds
   */
  guarded<T>(deps: Deps, guesser: Guesser, attempt: () => Promise<T | undefined>): Promise<T | undefined> {
    const key = `${tenantHere()}/${guesser.login}`
    const mine = (this.#turns.get(key) ?? Promise.resolve()).then(() => this.#tried(deps, guesser, attempt))
    this.#turns.set(key, mine.catch(() => undefined))
    return mine
  }

  /** Counted before it is tried: guesses in several processes at once are not seen too late. What could not be tried is given back. */
  async #tried<T>({ db, keyring }: Deps, { login, address }: Guesser, attempt: () => Promise<T | undefined>): Promise<T | undefined> {
    const keys = new Map<By, Buffer>([['login', keyOf(keyring, 'login', login)], ...(address === undefined ? [] : [['address', keyOf(keyring, 'address', networkOf(address))] as const])])
    // The guess that locks is on record with its count, or not counted.
    const { over, locked } = await transaction(db.app, async (client) => {
      const counted = await count(client, [...keys.values()])
      const beyond = [...keys].flatMap(([by, key]) => {
        const { failed, retryAfter } = counted.find((row) => row.key.equals(key))!
        return failed > MOST[by] ? [{ by, failed, retryAfter }] : []
      })
      const first = beyond.filter(({ by, failed }) => failed === MOST[by] + 1)
      for (const { by } of first) await onRecord(client, by, login)
      return { over: beyond, locked: first }
    })
    if (over.length > 0) {
      for (const { by } of locked) this.#locked(by)
      // Who is kept out by his address has not tried the login.
      if (!over.some(({ by }) => by === 'login')) await give(db, [keys.get('login')!])
      throw new Problem('rate-limited', { facts: { retryAfter: Math.max(...over.map(({ retryAfter }) => retryAfter)) }, detail: says('登录失败次数过多，请稍后再试', 'Too many failed logins, try again later') })
    }
    try {
      const found = await attempt()
      if (found !== undefined) {
        await give(db, [...keys].filter(([by]) => by === 'address').map(([, key]) => key))
        await forgive(db, keys.get('login')!)
      }
      return found
    } catch (error) {
      await give(db, [...keys.values()])
      throw error
    }
  }
}

/** Of whom it is, where there is such a login; an address is nobody's. */
async function onRecord(client: pg.PoolClient, by: By, login: string): Promise<void> {
  // What cannot be a login is nobody's, and PostgreSQL would not even compare some of it.
  const known = code.safeParse(login).data ?? null
  const { rows: [person] } = await client.query<{ id: string }>({ name: 'locked_person', text: `SELECT id FROM person WHERE "tenantId" = $1 AND login = $2`, values: [tenantHere(), known] })
  await account(client, SYSTEM, { action: 'login.locked', object: 'person', objectId: by === 'login' ? (person?.id ?? null) : null, details: { by } })
}

/** A login may be tried again at once, in every process. */
export const unlock = ({ db, keyring }: Deps, login: string): Promise<void> => forgive(db, keyOf(keyring, 'login', login))

interface Counted {
  key: Buffer
  failed: number
  retryAfter: number
}

async function count(client: pg.PoolClient, keys: Buffer[]): Promise<Counted[]> {
  const { rows } = await client.query<Counted>({
    name: 'count_guess',
    text: `INSERT INTO lockout AS l ("tenantId", key, failed, until) SELECT $1, k, 1, wishwall_now() + ${WINDOW} FROM unnest($2::bytea[]) k ORDER BY k
      ON CONFLICT ("tenantId", key) DO UPDATE SET failed = CASE WHEN l.until <= wishwall_now() THEN 1 ELSE l.failed + 1 END,
        until = CASE WHEN l.until <= wishwall_now() THEN excluded.until ELSE l.until END
      RETURNING key, failed, GREATEST(1, ceil(extract(epoch FROM until - wishwall_now())))::int AS "retryAfter"`,
    values: [tenantHere(), keys],
  })
  return rows
}

async function give(db: Db, keys: Buffer[]): Promise<void> {
  if (keys.length === 0) return
  await db.app.query({ name: 'give_guess', text: `UPDATE lockout SET failed = GREATEST(0, failed - 1) WHERE "tenantId" = $1 AND key = ANY ($2::bytea[])`, values: [tenantHere(), keys] })
}

async function forgive(db: Db, key: Buffer): Promise<void> {
  await db.app.query({ name: 'forgive_guesses', text: `UPDATE lockout SET failed = 0 WHERE "tenantId" = $1 AND key = $2 AND failed > 0`, values: [tenantHere(), key] })
}

/** Neither a login nor an address is readable in the table, or the same in two tenants. */
const keyOf = ({ index: [{ secret }] }: Keyring, by: By, value: string): Buffer => createHmac('sha256', secret).update(`lockout/${by}/${tenantHere()}/${value}`).digest()

/** Of IPv6 a household or a host has a whole /64. */
function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address
  const [head = '', tail] = address.split('%')[0]!.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const all = tail === undefined ? left : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(':')
}
