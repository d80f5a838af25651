import { isForAdjudication } from './asks.ts'
import { STATES, STEPS, type Capability, type Relation, type Step } from './machine.ts'
import type { AssignmentRow, DeadlineRow, Facts, Rung } from './request.ts'

/** Those who hold something exactly at this node now, a stand-in in the place of whom he stands in for. */
export interface Post {
  nodeId: string
  path: string
  level: string
  /** Of a retired node: none. */
  holders: { id: string; capabilities: Capability[] }[]
}

/** The tree and its duties as they are now. */
export interface Roster {
  /** The node with this code. */
  post(code: string): Post | undefined
  /** Who acts for an organisation. */
  people(organisationId: string): readonly string[]
}

type Waiting = Pick<Facts, 'request' | 'assignments' | 'cos' | 'asks' | 'policy'>

/** Codes of the nodes from the root down to this path: where a roster is wanted. */
export const codesOf = (path: string): string[] => path.split('/').filter(Boolean)

/** Paths and organisations that `whoIsLate` may ask the roster about. */
export const concerned = ({ request, assignments, cos, asks }: Omit<Waiting, 'policy'>): { paths: string[]; organisations: string[] } => {
  const parties = [...assignments, ...cos]
  return {
    paths: [request.path, ...parties.map(({ path }) => path), ...asks.filter(({ status }) => status === 'open').map(({ path }) => path)],
    organisations: parties.flatMap(({ organisationId }) => organisationId ?? []),
  }
}

/**
 * Whom a step waits for. The whole work waits for its parties; while nobody has it, for whoever is to place it. A 退单
 * is answered by dispatch until it comes to 终审; that, and every other ask, one level up.
 */
export function waitsFor(facts: Waiting, { step, seq }: Pick<DeadlineRow, 'step' | 'seq'>): Relation {
  const { request, assignments, asks } = facts
  const { late } = STEPS[step]
  if (step === 'answer' && askOf(asks, seq)?.kind === 'return') return isForAdjudication(facts) ? 'approve' : 'dispatch'
  if (late !== 'assignee' || assignments.length > 0) return late
  const [own]: readonly Step[] = STATES[request.state].steps
  return own === undefined ? late : STEPS[own].late
}

const askOf = (asks: Facts['asks'], seq: number) => asks.find((ask) => ask.seq === seq && ask.status === 'open')

/**
 * Who is late when this deadline's mark comes, and the ladder from there to the root. Late are the parties the step waits
 * for (of an organisation: those who act for it), or the nearest holders of the capability. The ladder starts at the
 * node of whoever is late and follows the tree as it is now: a node that was moved is climbed from where it is, one
 * that is gone is left out.
 */
export function whoIsLate(facts: Waiting, deadline: Pick<DeadlineRow, 'step' | 'seq'>, roster: Roster): { late: string[]; ladder: Rung[] } {
  const relation = waitsFor(facts, deadline)
  const parties = partiesTo(facts, deadline, relation)
  if (parties.length > 0) {
    const late = parties.flatMap(({ personId, memberId, organisationId }) => [personId, memberId, ...(organisationId === null ? [] : roster.people(organisationId))])
    return { late: unique(late.flatMap((id) => id ?? [])), ladder: ladderFrom(deepest(parties.map(({ path }) => path), facts.request.path), roster) }
  }
  const responsible = answeredFromAbove(facts, deadline, relation, roster) ?? upwards(facts.request.path, roster)
  const nearest = responsible.find((post) => holding(post, relation).length > 0)
  return { late: nearest ? holding(nearest, relation) : [], ladder: ladderFrom(nearest?.path ?? facts.request.path, roster) }
}

/** The rungs from the node at this path to the root. */
export const ladderFrom = (path: string, roster: Roster): Rung[] =>
  upwards(path, roster).map((post) => ({ nodeId: post.nodeId, path: post.path, level: post.level, holders: holding(post, 'supervise') }))

function upwards(path: string, roster: Roster): Post[] {
  const start = codesOf(path).reverse().map((code) => roster.post(code)).find((post) => post !== undefined)
  return codesOf(start?.path ?? '').reverse().flatMap((code) => roster.post(code) ?? [])
}

/** An ask is answered above the asker, a 退单 at last above who dispatches; at the root by the root. */
function answeredFromAbove({ asks, request }: Waiting, { step, seq }: Pick<DeadlineRow, 'step' | 'seq'>, by: Relation, roster: Roster): Post[] | undefined {
  const ask = step === 'answer' && by === 'approve' ? askOf(asks, seq) : undefined
  if (!ask) return undefined
  const [own, ...higher] = upwards(ask.kind === 'return' ? request.path : ask.path, roster)
  return own && higher.length === 0 ? [own] : higher
}

function partiesTo({ assignments, cos }: Waiting, { step, seq }: Pick<DeadlineRow, 'step' | 'seq'>, relation: Relation): AssignmentRow[] {
  // A lease, a co-handler's limit and a whistle are of those whom their event names.
  if (relation === 'co') return cos.filter((row) => row.seq === seq && (step !== 'report_in' || row.reportedAt === null))
  if (relation !== 'assignee') return []
  const own = step === 'lease' ? assignments.filter((row) => row.seq === seq) : []
  return own.length > 0 ? own : assignments
}

/** Of several parties the one furthest down, so that no rung is left out; the request's own branch of the tree first. */
function deepest(paths: string[], own: string): string {
  const rank = (path: string) => [codesOf(path).length, own.startsWith(path) ? 1 : 0] as const
  return [...paths].sort((a, b) => rank(b)[0] - rank(a)[0] || rank(b)[1] - rank(a)[1] || (a < b ? -1 : 1))[0] ?? own
}

const holding = ({ holders }: Post, capability: string): string[] =>
  unique(holders.filter(({ capabilities }) => (capabilities as string[]).includes(capability)).map(({ id }) => id))

const unique = (ids: string[]): string[] => [...new Set(ids)]
