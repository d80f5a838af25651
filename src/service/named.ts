import type { Actor, PersonActor } from '../domain/actor.ts'
import type { Body } from '../domain/bodies.ts'
import type { Transition } from '../domain/machine.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Amended, Facts } from '../domain/request.ts'
import { personActor } from './actors.ts'
import * as catalogue from './catalogue.ts'
import { tenantHere, type Db } from './db.ts'
import { filingSql, personUnknown, type FilingRow } from './filing.ts'
import { load, loadMerged } from './load.ts'
import { findClaimer, findMember, findNode, findRaised, findTarget } from './targets.ts'
import { tenant } from './tenants.ts'

/** What the input of a verb names, looked up for `decide`. */

/** 代办: whom the input says the act is for. @throws Problem target-unknown */
export async function representedBy(db: Db, input: object): Promise<PersonActor | undefined> {
  if (!('for' in input) || typeof input.for !== 'string') return undefined
  const represented = await personActor(db, input.for, null)
  if (!represented) throw personUnknown('/for')
  return represented
}

/** Verbs that end or complete a lead: those merged into it are decided with it. */
const ENDS_A_LEAD: ReadonlySet<Transition> = new Set(['complete', 'reject', 'withdraw'])

/** Looks up what the input names: whom a dispatch goes to, for whom a claim is made, where a wall may be seen, what is amended, what is merged. */
export async function withNamed(db: Db, verb: Transition, facts: Facts, input: object, party: Actor): Promise<Facts> {
  const named = { ...facts }
  const { path } = facts.request
  if (verb === 'raise') {
    const raisedTo = await findRaised(db, 'to' in input ? String(input.to) : undefined, facts.request.responsibleNodeId)
    if (raisedTo) named.raisedTo = raisedTo
  } else if (verb === 'assign' && 'to' in input && party.kind === 'person') {
    const member = await findMember(db, String(input.to), organisationsOf(party), path)
    if (member) named.target = member
  } else if ('to' in input && Array.isArray(input.to)) {
    named.targets = await Promise.all(input.to.map(async (to: unknown, index) => (await findTarget(db, String(to), path)) ?? targetUnknown(`/to/${index}`)))
  } else {
    const to = ['to', 'co', 'suggested'].map((field) => (input as Record<string, unknown>)[field]).find((given) => typeof given === 'string')
    const target = to === undefined ? undefined : await findTarget(db, to as string, path)
    if (target) named.target = target
  }
  if ('organisation' in input && typeof input.organisation === 'string' && party.kind === 'person') {
    const claimer = await findClaimer(db, input.organisation, party.id)
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
  if (verb === 'accept' || verb === 'amend') {
    const amended = await amendment(db, facts, input as Body<'amend'>)
    if (amended) named.amended = amended
  }
  if ('into' in input && typeof input.into === 'string') {
    const lead = await load(db, input.into)
    if (lead) named.lead = lead
  }
  if (facts.isLead && ENDS_A_LEAD.has(verb)) named.merged = await loadMerged(db, facts.request.id)
  if (verb === 'send-back') named.merged = await loadMerged(db, facts.request.id, 'completed')
  return named
}

export const attachmentsOf = (input: object): string[] => ('attachments' in input && Array.isArray(input.attachments) ? input.attachments as string[] : [])

const targetUnknown = (pointer: string): never => {
  throw new Problem('target-unknown', { errors: [{ pointer, message: says('没有这个在岗人员或组织', 'No such person on duty, nor such an organisation') }] })
}

const organisationsOf = ({ duties }: PersonActor): string[] => duties.flatMap(({ organisationId, capabilities }) => (organisationId !== null && capabilities.includes('handle') ? [organisationId] : []))

/** What accept and amend change: item, node, grade, and the policy that follows from them. */
async function amendment(db: Db, { item, request, nodePath }: Facts, input: Body<'amend'>): Promise<Amended | undefined> {
  if (input.item === undefined && input.node === undefined && input.grade === undefined) return undefined
  const [{ settings }, place] = await Promise.all([tenant(db), input.node === undefined ? undefined : findNode(db, input.node)])
  if (input.node !== undefined && !place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: says('没有这个地点', 'No such node') }] })
  const { rows: [row] } = await db.app.query<FilingRow & { level: string }>({
    name: 'amendment', text: filingSql('id'), values: [tenantHere(), settings.wallLevel, place?.id ?? request.nodeId, input.item ?? item.code, input.grade ?? request.grade],
  })
  if (!row?.itemId) throw new Problem('item-unknown', { errors: [{ pointer: '/item', message: says('服务菜单中没有这一项', 'No such service item') }] })
  if (!row.policyId) throw new Error(`no policy reaches ${nodePath} for item ${input.item ?? item.code}`)
  const [newItem, policy] = await Promise.all([input.item === undefined ? item : catalogue.item(db, row.itemId), catalogue.policy(db, row.policyId)])
  return { item: newItem, policy, policyId: row.policyId, node: row.node, nodePath: row.path, nodeLevel: row.level, compound: row.compound }
}
