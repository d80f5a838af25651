import { setTimeout as wait } from 'node:timers/promises'
import type { Actor } from '../domain/actor.ts'
import type { Body } from '../domain/bodies.ts'
import { decide } from '../domain/decide.ts'
import { withFamily } from '../domain/family.ts'
import { withAnswers, type Answers } from '../domain/form.ts'
import type { Transition } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import type { Facts } from '../domain/request.ts'
import { claimsKey } from '../domain/rules/assignments.ts'
import { sight, view, type RequestView } from '../domain/view.ts'
import { checkAttachable } from './attachments.ts'
import { commit, type KeptAnswer } from './commit.ts'
import { tenantHere, type Db } from './db.ts'
import { isWorthAnotherTry } from './failures.ts'
import { checkAnswers, sealAnswers } from './forms.ts'
import type { Keyring } from './keyring.ts'
import { isId, load } from './load.ts'
import { attachmentsOf, representedBy, withNamed } from './named.ts'
import { transaction } from './transaction.ts'

export { file, type Filed } from './filing.ts'

interface Options {
  /** Version the caller has seen (If-Match): another one is refused instead of decided again. */
  version?: number | undefined
  /** Keeps the answer for the caller's Idempotency-Key, in the same commit. */
  keep?: ((answer: RequestView) => KeptAnswer) | undefined
  /** Seals personal answers of a form that is filled in again. */
  keyring?: Keyring | undefined
}

/** How often a lost compare-and-set is decided again before the caller is told: enough for sixteen who want sixteen slots on a busy machine. */
const TRIES = 16
/** So often without a lock: most are alone. */
const HOPEFUL = 4
const LONGEST_WAIT_MS = 400

/**
 * Any verb but filing: load, decide, commit; decides again when someone else was faster, so that a 409 always comes from
 * `decide` and says why.
 * @param ref id or number
 * @throws Problem request-not-found, version-mismatch, request-changed, overloaded, or what `decide` throws
 */
export async function act<V extends Transition>(db: Db, verb: V, ref: string, input: Body<V>, actor: Actor, options: Options = {}): Promise<RequestView> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await wait(Math.random() * Math.min(10 * 2 ** attempt, LONGEST_WAIT_MS))
    try {
      const once = (within: Db) => actOnce(within, verb, ref, input, actor, options)
      const answer = attempt < HOPEFUL ? await once(db) : await inTurn(db, ref, once)
      if (answer) return answer
    } catch (error) {
      if (!isWorthAnotherTry(error)) throw error
    }
  }
  throw new Problem('request-changed')
}

/** @returns undefined when someone else was faster */
async function actOnce<V extends Transition>(db: Db, verb: V, ref: string, input: Body<V>, actor: Actor, { version, keep, keyring }: Options): Promise<RequestView | undefined> {
  const represented = await representedBy(db, input)
  const party = represented ?? actor
  const facts = await visible(db, ref, actor, verb === 'claim' && party.kind === 'person' ? claimsKey({ personId: party.id, organisationId: null }) : undefined)
  if (version !== undefined && version !== facts.request.version) throw new Problem('version-mismatch', { facts: { version: facts.request.version } })
  const named = await withNamed(db, verb, { ...facts, ...(represented ? { represented } : {}) }, input, party)
  await checkAttachable(db, attachmentsOf(input), actor, facts.request.id)
  const decided = decide(verb, named, input, actor)
  const filled = 'form' in input && input.form !== undefined ? checkAnswers(facts.item, input.form as Answers) : undefined
  const decision = filled ? withAnswers(decided, filled.plain) : decided
  const answer = view(decision.after, actor)
  const written = await commit(db.app, withFamily(decision, named), { kept: keep?.(answer), answers: sealAnswers(keyring, decision, filled) })
  return written.size > 0 ? answer : undefined
}

/** Where many write at once nobody is always too late: after some lost races one waits for the row and keeps it until all is written. */
function inTurn<T>(db: Db, ref: string, work: (within: Db) => Promise<T>): Promise<T> {
  const key = isId(ref) ? 'id' : 'number'
  return transaction(db.app, async (client) => {
    await client.query({ name: `turn_by_${key}`, text: `SELECT FROM request WHERE "tenantId" = $1 AND ${key} = $2 FOR NO KEY UPDATE`, values: [tenantHere(), ref] })
    return work(Object.create(db, { app: { value: client } }) as Db)
  })
}

/** @throws Problem request-not-found also when it is there but out of the actor's sight */
export async function find(db: Db, ref: string, actor: Actor): Promise<RequestView> {
  return view(await visible(db, ref, actor), actor)
}

async function visible(db: Db, ref: string, actor: Actor, counter?: string): Promise<Facts> {
  const facts = await load(db, ref, counter)
  if (!facts || sight(actor, facts) === 'none') throw new Problem('request-not-found')
  return facts
}
