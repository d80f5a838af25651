import { v7 as uuidv7 } from 'uuid'
import { SYSTEM, type Actor } from '../domain/actor.ts'
import type { Capability } from '../domain/machine.ts'
import { secures } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { checkTerm, type Term } from '../domain/term.ts'
import { forgetActor } from './actors.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import { administeredDuty, forgetHolders, readDuty, type DutyView } from './duties.ts'
import type { Keyring } from './keyring.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { named, refPair } from './refs.ts'
import { requireSeparate } from './separation.ts'
import { transaction } from './transaction.ts'

interface NewDuty {
  personId: string
  roleCode: string
  nodeId: string
  /** Held in this organisation instead of over the node. */
  organisationId?: string | null | undefined
  /** From now on by default. */
  from?: Date | undefined
  to?: Date | undefined
  /** 替班: holds the same, while the duty lasts unless it is said from when to when. */
  standInId?: string | null | undefined
  standInFrom?: Date | undefined
  standInTo?: Date | undefined
  /** 下沉干部: the unit that sent him. */
  secondedFromId?: string | null | undefined
  grantedById?: string | null | undefined
}

/** @throws Problem admins-separate; pg.DatabaseError 23503 when person, role, node or organisation do not exist */
export async function grantDuty(db: Db, duty: NewDuty, actor: Actor = SYSTEM): Promise<string> {
  const { personId, roleCode, nodeId, organisationId, from, to, standInId, standInFrom, standInTo, secondedFromId, grantedById } = duty
  const id = uuidv7()
  await transaction(db.app, async (client) => {
    const { rows: [role] } = await client.query<{ capabilities: Capability[] }>({
      name: 'duty_confers', text: `SELECT capabilities FROM role WHERE "tenantId" = $1 AND code = $2`, values: [tenantHere(), roleCode],
    })
    if (role) await requireSeparate(client, { persons: [personId, ...(standInId ? [standInId] : [])], capabilities: role.capabilities, from, to })
    await client.query({
      name: 'grant_duty',
      text: `
        INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "organisationId", "from", "to",
          "standInId", "standInFrom", "standInTo", "secondedFromId", "grantedById")
        VALUES ($1, $2, $3, $4, $5, $6, COALESCE($7, wishwall_now()), $8, $9, $10, $11, $12, $13)`,
      values: [tenantHere(), id, personId, roleCode, nodeId, organisationId, from, to, standInId, standInFrom, standInTo, secondedFromId, grantedById],
    })
    await account(client, actor, { action: 'duty.granted', object: 'duty', objectId: id, details: { personId, role: roleCode, nodeId, organisationId: organisationId ?? null } })
  })
  for (const holder of [personId, standInId]) if (holder) forgetActor(db, holder)
  return id
}

export interface StandIn extends Term {
  /** Id or 工号. */
  person: string
}

export interface Appointment extends Term {
  /** Id or 工号. */
  person: string
  role: string
  /** Id or code; this or an organisation. */
  node?: string | undefined
  organisation?: string | undefined
  standIn?: StandIn | undefined
  /** Id or code of an organisation. */
  secondedFrom?: string | undefined
}

/**
 * Gives a duty at a node or in an organisation, to whom ever the tenant knows.
 * @throws Problem node-unknown, organisation-unknown, role-unknown, person-unknown; forbidden unless the actor administers the node (the
 *   organisation's); validation-failed for a term or a role that will not do; duty-held; admins-separate
 */
export async function appoint(db: Db, keyring: Keyring, input: Appointment, actor: Actor): Promise<DutyView> {
  const found = await namedBy(db, input)
  const place = input.organisation === undefined ? found.node : found.organisation
  if (!place) throw input.organisation === undefined ? unknown('node-unknown', '/node') : unknown('organisation-unknown', '/organisation')
  if (!secures(actor, place.path)) throw new Problem('forbidden')
  if (!found.role) throw unknown('role-unknown', '/role')
  if (!found.personId) throw unknown('person-unknown', '/person')
  if (input.standIn && !found.standInId) throw unknown('person-unknown', '/standIn/person')
  if (input.secondedFrom !== undefined && !found.secondedFromId) throw unknown('organisation-unknown', '/secondedFrom')
  checkTerm(input, found.now)
  if (input.standIn) checkStandIn(found.personId, found.standInId, input.standIn, found.now, '/standIn')
  // What is given to an organisation is handled by its staff: any other capability reaches a place, and would reach nothing here.
  if (found.organisation && !found.role.includes('handle')) {
    throw refused('/role', says('组织内的职责必须能承办（handle）', 'A role in an organisation must confer handle'))
  }
  const duty = { personId: found.personId, roleCode: input.role, nodeId: place.nodeId, organisationId: found.organisation?.id ?? null }
  const held = await heldAlready(db, { ...duty, from: input.from ?? found.now, to: input.to })
  if (held !== undefined) throw new Problem('duty-held', { facts: { id: held } })
  const id = await grantDuty(db, {
    ...duty, from: input.from, to: input.to, standInId: found.standInId, standInFrom: input.standIn?.from, standInTo: input.standIn?.to,
    secondedFromId: found.secondedFromId, grantedById: actor.kind === 'person' ? actor.id : null,
  }, actor)
  return readDuty(db, keyring, id, actor)
}

interface NamedRow {
  now: Date
  node: { nodeId: string; path: string } | null
  organisation: { id: string; nodeId: string; path: string } | null
  role: Capability[] | null
  personId: string | null
  standInId: string | null
  secondedFromId: string | null
}

/** All that an appointment names, in one statement. */
async function namedBy(db: Db, { person, role, node, organisation, standIn, secondedFrom }: Appointment): Promise<NamedRow> {
  const { rows: [row] } = await db.app.query<NamedRow>({
    name: 'duty_named',
    text: `SELECT wishwall_now() AS now,
      (SELECT jsonb_build_object('nodeId', n.id, 'path', n.path) FROM node n WHERE ${named('n', 'code', 3)} AND n."retiredAt" IS NULL) AS node,
      (SELECT jsonb_build_object('id', o.id, 'nodeId', n.id, 'path', n.path) FROM organisation o JOIN node n ON n."tenantId" = o."tenantId" AND n.id = o."nodeId"
        WHERE ${named('o', 'code', 5)} AND NOT o.pending) AS organisation,
      (SELECT to_jsonb(r.capabilities) FROM role r WHERE r."tenantId" = $1 AND r.code = $2) AS role,
      (SELECT p.id FROM person p WHERE ${named('p', 'login', 7)}) AS "personId",
      (SELECT p.id FROM person p WHERE ${named('p', 'login', 9)}) AS "standInId",
      (SELECT o.id FROM organisation o WHERE ${named('o', 'code', 11)} AND NOT o.pending) AS "secondedFromId"`,
    values: [tenantHere(), role, ...refPair(node), ...refPair(organisation), ...refPair(person), ...refPair(standIn?.person), ...refPair(secondedFrom)],
  })
  return row!
}

const refused = (pointer: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer, code: 'value', message }] })

const UNKNOWN = {
  'node-unknown': NO_SUCH_NODE,
  'organisation-unknown': says('没有这个组织', 'No such organisation'),
  'role-unknown': says('没有这种职责', 'No such role'),
  'person-unknown': says('没有这个人', 'No such person'),
}

export const unknown = (code: keyof typeof UNKNOWN, pointer: string): Problem => new Problem(code, { errors: [{ pointer, message: UNKNOWN[code] }] })

/** @param at pointer to the object that holds person, from and to @throws Problem validation-failed */
export function checkStandIn(personId: string, standInId: string | null, term: Term, now: Date, at: string): void {
  if (personId === standInId) throw refused(`${at}/person`, says('不能给自己替班', 'Nobody stands in for themselves'))
  checkTerm(term, now, at)
}

async function heldAlready(db: Db, { personId, roleCode, nodeId, organisationId, from, to }: NewDuty): Promise<string | undefined> {
  const { rows } = await db.app.query<{ id: string }>({
    name: 'duty_held',
    text: `SELECT id FROM duty WHERE "tenantId" = $1 AND "personId" = $2 AND "roleCode" = $3 AND "nodeId" = $4 AND "organisationId" IS NOT DISTINCT FROM $5
      AND "from" < COALESCE($7::timestamptz, 'infinity') AND COALESCE("to", 'infinity') > $6::timestamptz LIMIT 1`,
    values: [tenantHere(), personId, roleCode, nodeId, organisationId, from, to],
  })
  return rows[0]?.id
}

/**
 * 替班, 节假日值班: another holds the duty for a time, and is reminded in its holder's place. Null ends it.
 * @throws Problem not-found, forbidden, duty-ended, person-unknown, validation-failed
 */
export async function setStandIn(db: Db, keyring: Keyring, id: string, standIn: StandIn | null, actor: Actor): Promise<DutyView> {
  const duty = await administeredDuty(db, id, actor)
  const { rows: [known] } = await db.app.query<{ now: Date; personId: string | null }>({
    name: 'stand_in_named',
    text: `SELECT wishwall_now() AS now, (SELECT p.id FROM person p WHERE ${named('p', 'login', 2)}) AS "personId"`,
    values: [tenantHere(), ...refPair(standIn?.person)],
  })
  if (duty.to !== null && duty.to <= known!.now) throw new Problem('duty-ended')
  if (standIn) {
    if (!known!.personId) throw unknown('person-unknown', '/person')
    checkStandIn(duty.person.id, known!.personId, standIn, known!.now, '')
  }
  await transaction(db.app, async (client) => {
    if (known!.personId) await requireSeparate(client, { persons: [known!.personId], capabilities: duty.role.capabilities, from: duty.from, to: duty.to })
    await client.query({
      name: 'set_stand_in', text: `UPDATE duty SET "standInId" = $3, "standInFrom" = $4, "standInTo" = $5 WHERE "tenantId" = $1 AND id = $2`,
      values: [tenantHere(), id, known!.personId, standIn?.from, standIn?.to],
    })
    await account(client, actor, { action: 'duty.changed', object: 'duty', objectId: id, details: { standInId: known!.personId } })
  })
  forgetHolders(db, duty)
  if (known!.personId) forgetActor(db, known!.personId)
  return readDuty(db, keyring, id, actor)
}
