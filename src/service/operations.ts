import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { Problem } from '../domain/problems.ts'
import { personActor } from './actors.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { seal, unseal } from './seal.ts'

/**
 * 后台任务: what takes longer than one answer may. It is a row, done by a worker in bounded steps under a lease: whoever is
 * killed loses one step at most, and the next worker goes on from there.
 *
 * TO ADD A KIND: start it with `startOperation`, and give the worker a `Work` under the same name (src/jobs/loops.ts). A step
 * may be done again after a crash: what it changes must be safe to repeat (a key per piece, as bulk.ts has it).
 */

/** One of those that failed: where in the input, and the problem's code. Never personal data. */
export interface FailedPiece {
  at: string
  code: string
  /** In words of ours, where the code alone says too little. */
  message?: string
}

export interface OperationView {
  id: string
  kind: string
  state: 'waiting' | 'running' | 'done' | 'failed'
  /** Pieces dealt with, those that failed among them, and all there are as far as is known. */
  done: number
  failed: number
  total: number | null
  /** The first of what failed. */
  errors: FailedPiece[]
  /** Where the result is to be had. */
  result: string | null
  createdAt: Date
  endedAt: Date | null
}

/** What a step is given. */
export interface Task {
  id: string
  input: unknown
  /** Of whoever started it, with the rights he has now. */
  actor: Actor
  /** As the last step left it; null at first. */
  position: string | null
  done: number
  /** Of a step that takes long: says how far it is in all, and keeps others away for another while. */
  beat(done: number): Promise<void>
}

/** What a step has done. */
export interface Stepped {
  done: number
  failed?: FailedPiece[]
  position: string | null
  /** Nothing is left to do. */
  ended: boolean
  total?: number
  result?: string
}

/** Bounded: some seconds at most. */
export type Work = (task: Task) => Promise<Stepped>

const place = (id: string): string => `operation/${tenantHere()}/${id}`

/** @returns its id, to be followed under /v1/operations */
export async function startOperation(db: Db, keyring: Keyring, kind: string, input: object, actor: Actor, { total = null }: { total?: number | null } = {}): Promise<string> {
  if (actor.kind === 'system') throw new Error('nobody would see it')
  const id = uuidv7()
  const { kid, secret } = keyring.seal[0]
  await db.app.query({
    name: 'operation_start',
    text: `INSERT INTO operation ("tenantId", id, kind, "personId", "clientId", kid, input, state, total, "createdAt") VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, wishwall_now())`,
    values: [tenantHere(), id, kind, actor.kind === 'person' ? actor.id : null, actor.clientId, kid, seal(secret, Buffer.from(JSON.stringify(input)), place(id)), total],
  })
  return id
}

/** Of those who started it alone. @returns undefined when there is none, or it is another's */
export async function findOperation(db: Db, id: string, actor: Actor): Promise<OperationView | undefined> {
  const { rows: [row] } = await db.app.query<OperationView>({
    name: 'operation_own',
    text: `SELECT id, kind, state, done, failed, total, errors, result, "createdAt", "endedAt" FROM operation
      WHERE "tenantId" = $1 AND id = $2 AND "personId" IS NOT DISTINCT FROM $3::uuid AND ($3::uuid IS NOT NULL OR "clientId" = $4::uuid)`,
    values: [tenantHere(), id, actor.kind === 'person' ? actor.id : null, actor.kind === 'app' ? actor.clientId : null],
  })
  return row
}

interface Row {
  tenantId: string
  id: string
  kind: string
  personId: string | null
  clientId: string | null
  kid: string
  input: Buffer
  position: string | null
  done: number
  lease: number
  tries: number
}

/** Longer than any step takes: another worker goes on when it is over. */
const LEASE = `interval '60 seconds'`
/** A step that comes to nothing so often ends the operation. */
const MOST_TRIES = 6
/** So many are told of. */
const MOST_ERRORS = 1_000

/** One worker at a time has it; that which has had the fewest steps goes first, so that a small one does not wait for a big one. */
const CLAIM = `
  UPDATE operation o SET state = 'running', lease = o.lease + 1, "leasedUntil" = wishwall_now() + ${LEASE}
  FROM (SELECT "tenantId", id FROM operation WHERE "endedAt" IS NULL AND kind = ANY ($1::text[]) AND ("leasedUntil" IS NULL OR "leasedUntil" <= wishwall_now())
    ORDER BY lease, "createdAt" LIMIT 1 FOR UPDATE SKIP LOCKED) n
  WHERE o."tenantId" = n."tenantId" AND o.id = n.id
  RETURNING o."tenantId", o.id, o.kind, o."personId", o."clientId", o.kid, o.input, o.position, o.done, o.lease, o.tries`

const RECORD = `
  UPDATE operation SET position = $4, done = done + $5, failed = failed + jsonb_array_length($6::jsonb), total = COALESCE($7, total), result = COALESCE($8, result), tries = 0, "leasedUntil" = NULL,
    errors = CASE WHEN jsonb_array_length(errors) < ${MOST_ERRORS} THEN errors || $6::jsonb ELSE errors END,
    state = CASE WHEN $9::bool THEN 'done' ELSE state END, "endedAt" = CASE WHEN $9::bool THEN wishwall_now() END
  WHERE "tenantId" = $1 AND id = $2 AND lease = $3 AND "endedAt" IS NULL`

const PUT_OFF = `
  UPDATE operation SET tries = tries + 1, "leasedUntil" = wishwall_now() + $4 * interval '1 second',
    state = CASE WHEN $5::text IS NULL THEN state ELSE 'failed' END, "endedAt" = CASE WHEN $5::text IS NULL THEN NULL ELSE wishwall_now() END,
    errors = CASE WHEN $5::text IS NULL THEN errors ELSE errors || jsonb_build_array(jsonb_build_object('at', '', 'code', $5::text)) END
  WHERE "tenantId" = $1 AND id = $2 AND lease = $3 AND "endedAt" IS NULL`

/** What one step came to. */
export interface Went {
  id: string
  kind: string
  ended: boolean
  /** For the log: tried again later, or never again when `ended`. */
  error?: unknown
}

/**
 * One step of one operation.
 * @param works by kind: those this worker can do
 * @returns undefined when there is nothing to do
 */
export async function stepOnce(db: Db, keyring: Keyring, works: Readonly<Record<string, Work>>): Promise<Went | undefined> {
  const { rows: [row] } = await db.system.query<Row>({ name: 'operation_claim', text: CLAIM, values: [Object.keys(works)] })
  return row && inTenant(row.tenantId, () => step(db, keyring, works[row.kind]!, row))
}

async function step(db: Db, keyring: Keyring, work: Work, row: Row): Promise<Went> {
  const { tenantId, id, kind, lease, position, done, tries } = row
  try {
    const stepped = await work({ id, input: opened(keyring, row), actor: await actorOf(db, row), position, done, beat: (reached) => beat(db, row, reached) })
    await db.system.query({
      name: 'operation_record', text: RECORD,
      values: [tenantId, id, lease, stepped.position, stepped.done, JSON.stringify(stepped.failed ?? []), stepped.total ?? null, stepped.result ?? null, stepped.ended],
    })
    return { id, kind, ended: stepped.ended }
  } catch (error) {
    // A refusal stays one; anything else may be over by itself.
    const code = error instanceof Problem && error.kind !== 'busy' ? error.code : tries + 1 >= MOST_TRIES ? 'internal' : null
    await db.system.query({ name: 'operation_put_off', text: PUT_OFF, values: [tenantId, id, lease, 2 ** tries, code] })
    return { id, kind, ended: code !== null, error }
  }
}

async function beat(db: Db, { tenantId, id, lease }: Row, done: number): Promise<void> {
  await db.system.query({
    name: 'operation_beat', text: `UPDATE operation SET done = $4, "leasedUntil" = wishwall_now() + ${LEASE} WHERE "tenantId" = $1 AND id = $2 AND lease = $3 AND "endedAt" IS NULL`,
    values: [tenantId, id, lease, done],
  })
}

function opened(keyring: Keyring, { id, kid, input }: Row): unknown {
  const key = keyring.seal.find((known) => known.kid === kid)
  if (!key) throw new Error(`operation ${id} was sealed by an unknown key ${kid}`)
  return JSON.parse(unseal(key.secret, input, place(id)).toString())
}

async function actorOf(db: Db, { personId, clientId }: Row): Promise<Actor> {
  if (personId === null) return { kind: 'app', clientId: clientId! }
  const actor = await personActor(db, personId, clientId)
  if (!actor) throw new Problem('forbidden')
  return actor
}
