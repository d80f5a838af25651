import { toWgs84, type Crs } from '../domain/coordinates.ts'
import { mayRegister } from '../domain/directory.ts'
import type { ImportKind } from '../domain/import-kinds.ts'
import { Problem } from '../domain/problems.ts'
import { appoint } from './appointments.ts'
import { tenantHere, type Db } from './db.ts'
import { createHouseholds, type NewHousehold } from './households.ts'
import { knownPeople } from './import-known.ts'
import { takeInResidents, type Resident } from './import-people.ts'
import { at, each, type Outcomes, type Writer } from './import-row.ts'
import { writeVisits } from './import-visits.ts'
import { putItem, readItem, type NewItem } from './items.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { takeIn } from './people.ts'
import { findNode, findNodes } from './targets.ts'
import { tenant } from './tenants.ts'
import { createNodes } from './tree.ts'

/** Problems point into the body of the door; here it is said which column that is. */
export const COLUMN_OF: Readonly<Record<ImportKind, Readonly<Record<string, string>>>> = {
  nodes: { '/parent': 'parent', '/code': 'code', '/level': 'level', '/point': 'lng' },
  people: { '/node': 'node', '/login': 'login', '/role': 'role', '/dutyNode': 'dutyNode', '/phone': 'phone' },
  households: { '/households/0/node': 'node' },
  items: { '/policy': 'policy', '/code': 'code' },
  visits: { '/node': 'node', '/door': 'door', '/household': 'door', '/item': 'item', '/needs/0/item': 'item', '/filer': 'filerName', '/needs/0/filer': 'filerName', '/resolvedOnSpot': 'outcome', '/needs/0/resolvedOnSpot': 'outcome', '/visitedAt': 'at', '/title': 'title', '/result': 'result' },
}

export const WRITERS: Readonly<Record<ImportKind, Writer>> = {
  nodes: each(async ({ db, actor }, { values }) => {
    const { code, name, level, parent, lng, lat, crs } = values as { code: string; name: string; level: string; parent: string; lng?: number; lat?: number; crs?: Crs }
    if ((lng === undefined) !== (lat === undefined) || (lng === undefined) !== (crs === undefined)) throw at('/point', 'required', '经度、纬度、坐标系须同时填写', 'Longitude, latitude and coordinate system go together')
    const { settings: { levels } } = await tenant(db)
    const known = levels.find((one) => one.name === level || one.code === level)?.code
    if (known === undefined) throw at('/level', 'value', `没有这个层级，应为${levels.map((one) => one.name).join('、')}之一`, `No such level: expected one of ${levels.map((one) => one.code).join(', ')}`)
    const [made] = await createNodes(db, parent, [{ code, name, level: known, parent, ...(lng !== undefined && { point: toWgs84({ lng, lat: lat! }, crs!) }) }], actor)
    return made!.id
  }),

  people: async (context, rows) => {
    const { db, keyring, actor } = context
    const plain = rows.filter(({ values }) => !['login', 'role', 'dutyNode'].some((key) => key in values))
    const taken = await takeInResidents(db, keyring, plain.map(({ values }) => values as object as Resident), actor)
    return new Map([...plain.map((row, index) => [row, taken[index]!] as const), ...await staff(context, rows.filter((row) => !plain.includes(row)))])
  },

  households: async ({ db, keyring, actor }, rows) => {
    const outcomes: Outcomes = new Map()
    const places = await findNodes(db, rows.map(({ values }) => String(values.node)))
    const good = rows.filter((row) => {
      const place = places.get(String(row.values.node))
      if (place && mayRegister(actor, place.path)) return true
      outcomes.set(row, place ? at('/households/0/node', 'forbidden', '不在您的管辖范围', 'Not a place of yours') : new Problem('node-unknown', { errors: [{ pointer: '/households/0/node', message: NO_SUCH_NODE }] }))
      return false
    })
    const made = good.length === 0 ? [] : await createHouseholds(db, keyring, good.map(({ values }) => values as object as NewHousehold), actor)
    for (const [index, row] of good.entries()) outcomes.set(row, made[index]!.id)
    return outcomes
  },

  items: each(async ({ db, actor }, { values }) => {
    const given = values as Pick<NewItem, (typeof COMPARED)[number]>
    if (!/[A-Za-z]/.test(given.code)) throw at('/code', 'value', '代码至少含一个字母', 'At least one letter')
    // What the sheet has no column for stays as it is: forms, skills, and what is to be proved.
    const before = await itemInForce(db, given.code)
    const item = { ...(before ?? { wall: false, grade: null, gradePolicies: {}, proof: false, form: null, review: false }), ...given }
    if (before === undefined || COMPARED.some((key) => before[key] !== item[key])) await putItem(db, item, actor)
    return (await readItem(db, given.code)).id
  }),

  visits: writeVisits,
}

/** With an account, or a duty, or both. */
const staff = each(async ({ db, keyring, actor }, { values }) => {
  const { name, phone, door, node, login, role, dutyNode } = values as { name: string; node: string } & Partial<Record<'phone' | 'door' | 'login' | 'role' | 'dutyNode', string>>
  if (role === undefined && dutyNode !== undefined) throw at('/role', 'required', '填写了任职节点，须填写职责', 'A place of duty needs a role')
  const place = await findNode(db, node)
  const [known] = place && mayRegister(actor, place.path) ? await knownPeople(db, keyring, [{ nodeId: place.id, name, phone, door, login }]) : []
  // An account's one-time password has nobody to be told here: reset-password gives another.
  const id = known ?? (await takeIn(db, keyring, { name, phone, door, node, login }, actor)).id
  if (role !== undefined) {
    await appoint(db, keyring, { person: id, role: await roleCode(db, role), node: dutyNode ?? node }, actor).catch((error: unknown) => {
      if (known !== undefined && error instanceof Problem && error.code === 'duty-held') return
      throw dutyNode === undefined ? error : moved(error, '/node', '/dutyNode')
    })
  }
  return id
})

const COMPARED = ['code', 'name', 'kind', 'mode', 'category', 'policy', 'wall', 'grade'] as const

const itemInForce = (db: Db, code: string) => readItem(db, code).catch((error: unknown) => {
  if (error instanceof Problem && error.code === 'not-found') return undefined
  throw error
})

async function roleCode(db: Db, role: string): Promise<string> {
  const { rows: [row] } = await db.app.query<{ code: string }>({ name: 'role_by_name', text: `SELECT code FROM role WHERE "tenantId" = $1 AND (code = $2 OR name = $2) ORDER BY code = $2 DESC LIMIT 1`, values: [tenantHere(), role] })
  return row?.code ?? role
}

function moved(error: unknown, from: string, to: string): unknown {
  if (!(error instanceof Problem)) return error
  return new Problem(error.code, { facts: error.facts, errors: error.errors.map((one) => (one.pointer === from ? { ...one, pointer: to } : one)), cause: error })
}
