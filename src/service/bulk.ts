import type { Actor } from '../domain/actor.ts'
import type { Body } from '../domain/bodies.ts'
import { decide } from '../domain/decide.ts'
import { withFamily } from '../domain/family.ts'
import type { Callable } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import type { Decision, Facts } from '../domain/request.ts'
import { sight, view, type RequestView } from '../domain/view.ts'
import { commit } from './commit.ts'
import { tenantHere, type Db } from './db.ts'
import { fingerprint, once } from './idempotency.ts'
import type { Keyring } from './keyring.ts'
import { TITLE } from './list-query.ts'
import { FACTS, factsOf, isId, type LoadedRow } from './load.ts'
import { attachmentsOf, representedBy, withNamed } from './named.ts'
import { act } from './requests.ts'

/** One of many: what became of it, alone. */
export interface Outcome {
  /** As it was asked for. */
  ref: string
  request?: RequestView
  /** Problem, or a failure of ours. */
  error?: unknown
}

export type Versions = Readonly<Record<string, number>>

/** So many are decided and written together. */
const TOGETHER = 50

/** Verbs under limits across requests: one that is over undoes the whole statement, so each is written by itself. */
const ALONE: ReadonlySet<Callable> = new Set(['claim', 'urge', 'merge'])

/**
 * One verb on many requests, in their order: what can be decided and written together is, in one statement. Each stands
 * for itself; what is lost to somebody faster is decided again.
 * @param refs ids or numbers
 * @param versions that the caller has seen, by ref: another one is refused
 */
export async function actOnMany<V extends Callable>(db: Db, verb: V, refs: readonly string[], input: Body<V>, actor: Actor, versions: Versions = {}): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (let from = 0; from < refs.length; from += TOGETHER) outcomes.push(...await several(db, verb, refs.slice(from, from + TOGETHER), input, actor, versions))
  return outcomes
}

/** The same, each once under a key of its own however often it is sent: what was done is answered again as it was. */
export async function actOnEach<V extends Callable>(
  db: Db, keyring: Keyring, verb: V, refs: readonly string[], input: Body<V>, actor: Actor, key: string, versions: Versions = {},
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const ref of refs) outcomes.push(await outcomeOf(ref, () => keyed(db, keyring, actor, `${key}/${ref}`, [verb, ref, JSON.stringify(input)], (keep) => act(db, verb, ref, input, actor, { keep, keyring, version: versions[ref] }))))
  return outcomes
}

/** Once per key; the kept answer is the request as it was then. */
export async function keyed(
  db: Db, keyring: Keyring, actor: Actor, key: string, parts: string[], run: (keep: (answer: RequestView) => ReturnType<Parameters<Parameters<typeof once>[3]>[0]>) => Promise<RequestView>,
): Promise<RequestView> {
  const caller = actor.kind === 'person' ? actor.id : actor.kind === 'app' ? actor.clientId : ''
  const sent = await once(db, keyring, { caller, key, fingerprint: fingerprint(...parts) }, async (keep) => {
    let body = ''
    await run((answer) => keep(200, (body = JSON.stringify(answer))))
    return { status: 200, body, replayed: false }
  })
  return revived(JSON.parse(sent.body) as Record<string, unknown>) as RequestView
}

/** Times were written as text. */
function revived(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => revived(one))
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revived(inner, key)]))
  return typeof value === 'string' && /(At|^at|^since|^until)$/.test(name) ? new Date(value) : value
}

export async function outcomeOf(ref: string, run: () => Promise<RequestView>): Promise<Outcome> {
  try {
    return { ref, request: await run() }
  } catch (error) {
    return { ref, error }
  }
}

async function several<V extends Callable>(db: Db, verb: V, refs: readonly string[], input: Body<V>, actor: Actor, versions: Versions): Promise<Outcome[]> {
  const single = (ref: string) => outcomeOf(ref, () => act(db, verb, ref, input, actor, { version: versions[ref] }))
  const outcomes = new Map<string, Outcome>()
  const together = ALONE.has(verb) || attachmentsOf(input).length > 0 || 'form' in input ? [] : await decided(db, verb, refs, input, actor, versions, outcomes)
  // Whatever went wrong with all is found out for each.
  const written = together.length === 0 ? new Set<string>() : await commit(db.app, together.map(({ decision }) => decision), { together: false }).catch(() => new Set<string>())
  for (const { ref, decision } of together) if (written.has(decision.request.id)) outcomes.set(ref, { ref, request: view(decision.after, actor) })
  for (const ref of refs) if (!outcomes.has(ref)) outcomes.set(ref, await single(ref))
  return refs.map((ref) => outcomes.get(ref)!)
}

/** Those that concern one request alone, with what they come to; refusals are outcomes already. */
async function decided<V extends Callable>(
  db: Db, verb: V, refs: readonly string[], input: Body<V>, actor: Actor, versions: Versions, outcomes: Map<string, Outcome>,
): Promise<{ ref: string; decision: Decision }[]> {
  const represented = await representedBy(db, input).catch((error: unknown) => {
    for (const ref of refs) outcomes.set(ref, { ref, error })
    return null
  })
  if (represented === null) return []
  const loaded = await loadMany(db, refs)
  const made: { ref: string; decision: Decision }[] = []
  const taken = new Set<string>()
  for (const ref of refs) {
    const facts = loaded.get(ref)
    if (!facts || sight(actor, facts) === 'none') {
      outcomes.set(ref, { ref, error: new Problem('request-not-found') })
      continue
    }
    // Named twice, by id and by number: the second comes after the first.
    if (taken.has(facts.request.id)) continue
    taken.add(facts.request.id)
    try {
      const { version } = facts.request
      if ((versions[ref] ?? version) !== version) throw new Problem('version-mismatch', { facts: { version } })
      const named = await withNamed(db, verb, { ...facts, ...(represented ? { represented } : {}) }, input, represented ?? actor)
      const family = withFamily(decide(verb, named, input, actor), named)
      if (family.length === 1 && family[0]!.counters.length === 0) made.push({ ref, decision: family[0]! })
    } catch (error) {
      outcomes.set(ref, { ref, error })
    }
  }
  return made
}

async function loadMany(db: Db, refs: readonly string[]): Promise<Map<string, Facts>> {
  const { rows } = await db.app.query<LoadedRow>({
    name: 'load_many',
    text: `SELECT ${FACTS} FROM (SELECT r.* FROM unnest($2::uuid[]) i CROSS JOIN LATERAL (SELECT * FROM request r WHERE r."tenantId" = $1 AND r.id = i LIMIT 1) r
      UNION SELECT r.* FROM unnest($3::text[]) i CROSS JOIN LATERAL (SELECT * FROM request r WHERE r."tenantId" = $1 AND r.number = i LIMIT 1) r) r ${TITLE}`,
    values: [tenantHere(), refs.filter(isId), refs.filter((ref) => !isId(ref))],
  })
  const facts = await factsOf(db, rows)
  return new Map(facts.flatMap((each) => [[each.request.id, each], [each.request.number, each]] as const))
}
