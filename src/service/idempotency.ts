import { createHash } from 'node:crypto'
import { Problem } from '../domain/problems.ts'
import type { KeptAnswer } from './commit.ts'
import { inOneTransaction, tenantHere, type Db } from './db.ts'
import { isKeyHeld, violates } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { seal, unseal } from './seal.ts'

/** Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header): an answer is replayed byte for byte for so long. */
const KEPT_FOR = `interval '24 hours'`

export interface Keyed {
  /** Person or client. */
  caller: string
  key: string
  /** Of method, address and body. */
  fingerprint: Buffer
}

export interface Sent {
  status: number
  body: string
  replayed: boolean
}

export const fingerprint = (...parts: string[]): Buffer => createHash('sha256').update(JSON.stringify(parts)).digest()

/**
 * Runs `work` once per key. Its 2xx is kept in the commit that makes its effect, sealed; a twin waits on the key's unique
 * index, is undone and gets the same bytes. Refusals are not kept: they are decided again.
 * @param work gets `keep`, to be handed to the verb that commits
 * @throws Problem idempotency-key-reused for the same key with another request, idempotency-in-flight when the twin does not end
 */
export async function once(db: Db, keyring: Keyring, keyed: Keyed, work: (keep: (status: number, body: string) => KeptAnswer) => Promise<Sent>): Promise<Sent> {
  const known = await kept(db, keyring, keyed)
  if (known) return known
  try {
    return await work((status, body) => sealed(keyring, keyed, status, body))
  } catch (error) {
    // Whatever went wrong, the twin may have done it meanwhile: its own claim must not look like somebody else's.
    const twin = await kept(db, keyring, keyed)
    if (twin) return twin
    if (isLockTimeout(error)) throw new Problem('idempotency-in-flight')
    if (!violates(error, 'idempotency_pkey')) throw error
    await db.system.query({ name: 'forget_answer', text: `DELETE FROM idempotency WHERE "tenantId" = $1 AND caller = $2 AND key = $3 AND at <= wishwall_now() - ${KEPT_FOR}`, values: [tenantHere(), keyed.caller, keyed.key] })
    return work((status, body) => sealed(keyring, keyed, status, body))
  }
}

/**
 * The same for what is no request: all that `work` writes through the app's pool, and the kept answer, in one transaction.
 * A twin that comes meanwhile waits for it, is undone and replays.
 */
export const onceWhole: Once = (db, keyring, keyed, work) =>
  once(db, keyring, keyed, (keep) => inOneTransaction(db, async () => {
    const { status, body } = await work()
    await keepAnswer(db, keep(status, body))
    return { status, body, replayed: false }
  }))

/**
 * The same for what is many commits, each of which is once under a key of its own: the answer to all of it is kept when all is
 * done. Of twins the one that ends first is heard twice; after a crash the retry finds what was done, done.
 * @param work says `passing` of an answer that tells of a failure of ours: it is not kept, and asked for anew
 */
export const onceEach = (db: Db, keyring: Keyring, keyed: Keyed, work: () => Promise<{ status: number; body: string; passing?: boolean }>): Promise<Sent> =>
  once(db, keyring, keyed, async (keep) => {
    const { status, body, passing = false } = await work()
    if (!passing) await keepAnswer(db, keep(status, body))
    return { status, body, replayed: false }
  })

export type Once = (db: Db, keyring: Keyring, keyed: Keyed, work: () => Promise<{ status: number; body: string; passing?: boolean }>) => Promise<Sent>

async function keepAnswer(db: Db, { caller, key, fingerprint: print, status, answer }: KeptAnswer): Promise<void> {
  await db.app.query({
    name: 'keep_answer', text: `INSERT INTO idempotency ("tenantId", caller, key, fingerprint, status, answer, at) VALUES ($1, $2, $3, $4, $5, $6, wishwall_now())`,
    values: [tenantHere(), caller, key, print, status, answer],
  })
}

const isLockTimeout = (error: unknown): boolean => isKeyHeld(error) || (error instanceof Problem && error.code === 'request-changed')

const placeOf = ({ caller, key }: Keyed): string => `idempotency/${tenantHere()}/${caller}/${key}`

function sealed(keyring: Keyring, keyed: Keyed, status: number, body: string): KeptAnswer {
  const [{ kid, secret }] = keyring.seal
  return { ...keyed, status, answer: Buffer.concat([Buffer.from(`${kid}.`), seal(secret, Buffer.from(body), placeOf(keyed))]) }
}

async function kept(db: Db, keyring: Keyring, keyed: Keyed): Promise<Sent | undefined> {
  const { rows: [row] } = await db.app.query<{ fingerprint: Buffer; status: number; answer: Buffer }>({
    name: 'kept_answer',
    text: `SELECT fingerprint, status, answer FROM idempotency WHERE "tenantId" = $1 AND caller = $2 AND key = $3 AND at > wishwall_now() - ${KEPT_FOR}`,
    values: [tenantHere(), keyed.caller, keyed.key],
  })
  if (!row) return undefined
  if (!row.fingerprint.equals(keyed.fingerprint)) throw new Problem('idempotency-key-reused')
  const dot = row.answer.indexOf('.')
  const kid = row.answer.subarray(0, dot).toString()
  const key = keyring.seal.find((one) => one.kid === kid)
  if (!key) throw new Error(`kept answer sealed by an unknown key ${kid}`)
  return { status: row.status, body: unseal(key.secret, row.answer.subarray(dot + 1), placeOf(keyed)).toString(), replayed: true }
}

/** Kept answers that are too old to be replayed. @returns how many were forgotten */
export async function forgetOldAnswers(db: Db): Promise<number> {
  const { rowCount } = await db.system.query({
    name: 'forget_answers',
    text: `DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency WHERE at <= wishwall_now() - ${KEPT_FOR} LIMIT 5000))`,
  })
  return rowCount ?? 0
}
