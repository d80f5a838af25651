import { setTimeout as wait } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import type { Body } from '../domain/bodies.ts'
import { dayOf } from '../domain/calendar.ts'
import { decide } from '../domain/decide.ts'
import { decideFiling, type FilingFacts } from '../domain/filing.ts'
import type { Transition } from '../domain/machine.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Facts } from '../domain/request.ts'
import { claimsKey } from '../domain/rules/claim.ts'
import { sight, view, type RequestView } from '../domain/view.ts'
import * as catalogue from './catalogue.ts'
import { commit, type KeptAnswer } from './commit.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { isWorthAnotherTry, lacks, violates } from './failures.ts'
import { isId, load } from './load.ts'
import { nextNumber } from './numbers.ts'
import { findClaimer, findNode, findTarget } from './targets.ts'
import { tenant } from './tenants.ts'

interface Options {
  /** Version the caller has seen (If-Match): another one is refused instead of decided again. */
  version?: number | undefined
  /** Keeps the answer for the caller's Idempotency-Key, in the same commit. */
  keep?: ((answer: RequestView) => KeptAnswer) | undefined
  /** When filing: the number it has already, on paper or in another system. */
  number?: string
}

/** How often a lost compare-and-set is decided again before the caller is told: enough for sixteen who want sixteen slots on a busy machine. */
const TRIES = 16
const LONGEST_WAIT_MS = 400

/**
 * 点单: one statement, since what it is decided on is remembered for two seconds.
 * @throws Problem node-unknown, item-unknown, target-unknown (filer, beneficiary), external-ref-taken (with the existing `id`), forbidden
 */
export async function file(db: Db, input: Body<'file'>, actor: Actor, { keep, number }: Options = {}): Promise<RequestView> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const decision = decideFiling(await filingFacts(db, input, number), input, actor)
    const answer = view(decision.after, actor)
    try {
      if ((await commit(db.app, [decision], { kept: keep?.(answer) })).size > 0) return answer
      // The database's clock is another one than two seconds ago: it was set, or another server answers.
      db.memory.delete(filingKey(input))
    } catch (error) {
      if (lacks(error, 'request_tenantId_filerId_fkey')) throw personUnknown('/filer')
      if (lacks(error, 'request_tenantId_beneficiaryId_fkey')) throw personUnknown('/beneficiary')
      if (violates(error, 'request_tenantId_filerClientId_externalRef_key')) throw await externalRefTaken(db, decision.request.filerClientId, input.externalRef)
      throw error
    }
  }
  throw new Problem('overloaded')
}

/**
 * Any other verb: load, decide, commit; decides again when someone else was faster, so that a 409 always comes from
 * `decide` and says why.
 * @param ref id or number
 * @throws Problem request-not-found, version-mismatch, request-changed, overloaded, or what `decide` throws
 */
export async function act<V extends Transition>(db: Db, verb: V, ref: string, input: Body<V>, actor: Actor, { version, keep }: Options = {}): Promise<RequestView> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await wait(Math.random() * Math.min(10 * 2 ** attempt, LONGEST_WAIT_MS))
    try {
      const facts = await visible(db, ref, actor, verb === 'claim' && actor.kind === 'person' ? claimsKey({ personId: actor.id, organisationId: null }) : undefined)
      if (version !== undefined && version !== facts.request.version) throw new Problem('version-mismatch', { facts: { version: facts.request.version } })
      const decision = decide(verb, await withNamed(db, facts, input, actor), input, actor)
      const answer = view(decision.after, actor)
      const written = await commit(db.app, [decision], { kept: keep?.(answer) })
      if (written.size > 0) return answer
    } catch (error) {
      if (!isWorthAnotherTry(error)) throw error
    }
  }
  throw new Problem('request-changed')
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

/** Looks up what the input names: whom a dispatch goes to, for whom a claim is made, where a wall may be seen. */
async function withNamed(db: Db, facts: Facts, input: object, actor: Actor): Promise<Facts> {
  const named = { ...facts }
  if ('to' in input && typeof input.to === 'string') {
    const target = await findTarget(db, input.to, facts.request.path)
    if (target) named.target = target
  }
  if ('organisation' in input && typeof input.organisation === 'string' && actor.kind === 'person') {
    const claimer = await findClaimer(db, input.organisation, actor.id)
    if (claimer) {
      named.claimer = claimer
      named.held = claimer.held
    }
  }
  if ('scope' in input && typeof input.scope === 'string') {
    const node = await findNode(db, input.scope)
    if (!node) throw new Problem('node-unknown', { errors: [{ pointer: '/scope', message: says('没有这个地点', 'No such node') }] })
    named.scopePath = node.path
  }
  return named
}

interface FilingRow {
  now: Date
  node: Facts['node']
  path: string
  compound: Facts['compound']
  itemId: string | null
  policyId: string | null
}

const filingSql = (key: 'id' | 'code') => `
  SELECT wishwall_now() AS now, jsonb_build_object('id', n.id, 'code', n.code, 'name', n.name) AS node, n.path,
    (SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name) FROM node c
      WHERE c."tenantId" = n."tenantId" AND c.code = ANY (string_to_array(n.path, '/')) AND c.level = $2) AS compound,
    i.id AS "itemId", p.id AS "policyId"
  FROM node n
  LEFT JOIN LATERAL (SELECT id, "policyCode", "retiredAt" FROM item WHERE "tenantId" = $1 AND code = $4 ORDER BY version DESC LIMIT 1) i ON i."retiredAt" IS NULL
  LEFT JOIN LATERAL (SELECT p.id FROM policy p JOIN node pn ON pn."tenantId" = p."tenantId" AND pn.id = p."nodeId"
    WHERE p."tenantId" = $1 AND p.code = i."policyCode" AND starts_with(n.path, pn.path) ORDER BY length(pn.path) DESC, p.version DESC LIMIT 1) p ON true
  WHERE n."tenantId" = $1 AND n.${key} = $3 AND n."retiredAt" IS NULL`

/** A node, an item or a policy changed in another process counts after so long, like an actor's duties. */
const FILING_TTL_MS = 2_000

const filingKey = ({ node, item }: Body<'file'>): string => `filing/${tenantHere()}/${node}/${item}`

async function filingFacts(db: Db, input: Body<'file'>, given: string | undefined): Promise<FilingFacts> {
  const { settings, calendar } = await tenant(db)
  const { row, readAt } = await remember(db, filingKey(input), FILING_TTL_MS, async () => {
    const key = isId(input.node) ? 'id' : 'code'
    const { rows } = await db.app.query<FilingRow>({ name: `filing_by_${key}`, text: filingSql(key), values: [tenantHere(), settings.wallLevel, input.node, input.item] })
    return { row: rows[0], readAt: performance.now() }
  })
  if (!row) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: says('没有这个地点', 'No such node') }] })
  if (!row.itemId) throw new Problem('item-unknown', { errors: [{ pointer: '/item', message: says('服务菜单中没有这一项', 'No such service item') }] })
  if (!row.policyId) throw new Error(`no policy reaches ${row.path} for item ${input.item}`)
  // The database's clock, as read with the row; the commit refuses when it has drifted by a second.
  const now = new Date(row.now.getTime() + Math.round(performance.now() - readAt))
  const [item, policy, number] = await Promise.all([
    catalogue.item(db, row.itemId), catalogue.policy(db, row.policyId), given ?? nextNumber(db, dayOf(calendar, now)),
  ])
  return { id: uuidv7(), number, now, node: row.node, compound: row.compound, path: row.path, policyId: row.policyId, item, policy, calendar }
}

const personUnknown = (pointer: string): Problem =>
  new Problem('target-unknown', { errors: [{ pointer, message: says('没有这个人', 'No such person') }] })

async function externalRefTaken(db: Db, clientId: string | null, externalRef: string | undefined): Promise<Problem> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'by_external_ref', text: `SELECT id FROM request WHERE "tenantId" = $1 AND "filerClientId" = $2 AND "externalRef" = $3`, values: [tenantHere(), clientId, externalRef],
  })
  return new Problem('external-ref-taken', { facts: { id: rows[0]?.id } })
}
