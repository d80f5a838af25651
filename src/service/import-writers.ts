import type { Actor } from '../domain/actor.ts'
import { toWgs84, type Crs } from '../domain/coordinates.ts'
import type { ImportKind } from '../domain/import-kinds.ts'
import type { ReadRow } from '../domain/imports.ts'
import { Problem, says } from '../domain/problems.ts'
import type { Kind } from '../domain/request.ts'
import type { VisitResult } from '../domain/visits.ts'
import { appoint } from './appointments.ts'
import { tenantHere, type Db } from './db.ts'
import { file } from './filing.ts'
import { createHouseholds, findByDoor } from './households.ts'
import { putItem } from './items.ts'
import type { Keyring } from './keyring.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { registerPerson } from './people.ts'
import { findNode } from './targets.ts'
import { tenant } from './tenants.ts'
import { createNode } from './tree.ts'
import { fileVisit } from './visits.ts'

/** One row written as its own door would write it: the same rules, the same rights, the same audit. */

export interface WriteContext {
  db: Db
  keyring: Keyring
  actor: Actor
  /** Of the operation: what a row makes is called by it and the row. */
  operation: string
  /** A number for the row's request, taken before the transaction. */
  number: (row: number) => string | undefined
}

/** @returns id of what it made */
export type Writer = (context: WriteContext, row: ReadRow) => Promise<string>

/** Problems point into the body of the door; here it is said which column that is. */
export const COLUMN_OF: Readonly<Record<ImportKind, Readonly<Record<string, string>>>> = {
  nodes: { '/parent': 'parent', '/code': 'code', '/level': 'level', '/point': 'lng' },
  people: { '/node': 'node', '/login': 'login', '/role': 'role', '/dutyNode': 'dutyNode', '/phone': 'phone' },
  households: { '/households/0/node': 'node' },
  items: { '/policy': 'policy', '/code': 'code' },
  visits: { '/node': 'node', '/door': 'door', '/household': 'door', '/item': 'item', '/needs/0/item': 'item', '/filer': 'filerName', '/needs/0/filer': 'filerName', '/resolvedOnSpot': 'outcome', '/needs/0/resolvedOnSpot': 'outcome', '/visitedAt': 'at', '/title': 'title', '/result': 'result' },
}

const at = (pointer: string, code: string, zh: string, en: string): Problem => new Problem('validation-failed', { errors: [{ pointer, code, message: says(zh, en) }] })

export const WRITERS: Readonly<Record<ImportKind, Writer>> = {
  nodes: async ({ db, actor }, { values }) => {
    const { code, name, level, parent, lng, lat, crs } = values as { code: string; name: string; level: string; parent: string; lng?: number; lat?: number; crs?: Crs }
    if ((lng === undefined) !== (lat === undefined) || (lng === undefined) !== (crs === undefined)) throw at('/point', 'required', '经度、纬度、坐标系须同时填写', 'Longitude, latitude and coordinate system go together')
    const { settings: { levels } } = await tenant(db)
    const known = levels.find((one) => one.name === level)?.code ?? level
    return (await createNode(db, { code, name, level: known, parent, ...(lng !== undefined && { point: toWgs84({ lng, lat: lat! }, crs!) }) }, actor)).id
  },

  people: async ({ db, keyring, actor }, { values }) => {
    const { name, phone, door, node, login, role, dutyNode } = values as { name: string; node: string } & Partial<Record<'phone' | 'door' | 'login' | 'role' | 'dutyNode', string>>
    if (role === undefined && dutyNode !== undefined) throw at('/role', 'required', '填写了任职节点，须填写职责', 'A place of duty needs a role')
    // An account's one-time password has nobody to be told here: reset-password gives another.
    const { id } = await registerPerson(db, keyring, { name, phone, door, node, login }, actor)
    if (role !== undefined) {
      await appoint(db, keyring, { person: id, role: await roleCode(db, role), node: dutyNode ?? node }, actor)
        .catch((error: unknown) => { throw dutyNode === undefined ? error : moved(error, '/node', '/dutyNode') })
    }
    return id
  },

  households: async ({ db, keyring, actor }, { values }) => (await createHouseholds(db, keyring, [values as { node: string; door: string }], actor))[0]!.id,

  items: async ({ db, actor }, { values }) => {
    const { wall = false, grade = null, ...given } = values as { code: string; name: string; kind: Kind; mode: 'pool' | 'dispatch'; category: string; policy: string; wall?: boolean; grade?: null }
    if (!/[A-Za-z]/.test(given.code)) throw at('/code', 'value', '代码至少含一个字母', 'At least one letter')
    await putItem(db, { ...given, wall, grade, gradePolicies: {}, proof: false, form: null, review: false }, actor)
    const { rows: [row] } = await db.app.query<{ id: string }>({ name: 'item_just_put', text: `SELECT id FROM item WHERE "tenantId" = $1 AND code = $2 ORDER BY version DESC LIMIT 1`, values: [tenantHere(), given.code] })
    return row!.id
  },

  visits: async ({ db, keyring, actor, operation, number }, { row, values }) => {
    const given = values as { source: string; node: string; at: string } & Partial<Record<'door' | 'item' | 'title' | 'description' | 'filerName' | 'filerPhone' | 'outcome', string>> & { result?: VisitResult }
    const place = await findNode(db, given.node)
    if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
    const collectedAt = await instantOf(db, given.at)
    const need = needOf(given)
    if (given.source === 'mailbox') {
      if (!need) throw at('/title', 'required', '信报箱的诉求须填写服务项目代码和标题', 'A slip needs an item and a title')
      return (await file(db, { ...need, node: given.node, source: 'mailbox', collectedAt }, actor, { keyring, ...numbered(number(row)) })).id
    }
    if (given.result === undefined) throw at('/result', 'required', '走访须填写走访结果', 'A visit needs its result')
    if (need && given.result !== 'met') throw at('/result', 'value', '没有见到人，不会有诉求', 'Nobody was met: there are no needs')
    const household = given.door === undefined ? undefined : await findByDoor(db, keyring, place.id, given.door)
    if (household === undefined) throw at('/door', 'value', '没有登记这一户', 'No such household')
    return (await fileVisit(db, keyring, { clientId: `import/${operation}/${row}`, household, visitedAt: collectedAt, result: given.result, ...(need && { needs: [need] }) }, actor, number(row))).id
  },
}

const numbered = (number: string | undefined) => (number === undefined ? {} : { number })

function needOf({ item, title, description, filerName, filerPhone, outcome }: Partial<Record<'item' | 'title' | 'description' | 'filerName' | 'filerPhone' | 'outcome', string>>) {
  if (item === undefined && title === undefined && outcome === undefined && description === undefined) return undefined
  if (item === undefined) throw at('/item', 'required', '须填写服务项目代码', 'An item is required')
  if (title === undefined) throw at('/title', 'required', '须填写标题', 'A title is required')
  if (filerPhone !== undefined && filerName === undefined) throw at('/filer', 'required', '填写了电话，须填写诉求人', 'A phone needs a name')
  return {
    item, title, ...(description !== undefined && { description }), ...(filerName !== undefined && { filer: { name: filerName, ...(filerPhone !== undefined && { phone: filerPhone }) } }),
    ...(outcome !== undefined && { resolvedOnSpot: { outcome } }),
  }
}

async function roleCode(db: Db, role: string): Promise<string> {
  const { rows: [row] } = await db.app.query<{ code: string }>({ name: 'role_by_name', text: `SELECT code FROM role WHERE "tenantId" = $1 AND (code = $2 OR name = $2) ORDER BY code = $2 DESC LIMIT 1`, values: [tenantHere(), role] })
  return row?.code ?? role
}

/** A local time of the tenant's zone. */
async function instantOf(db: Db, local: string): Promise<Date> {
  const { settings: { zone } } = await tenant(db)
  const { rows } = await db.app.query<{ at: Date }>({ name: 'local_time', text: 'SELECT $1::timestamp AT TIME ZONE $2 AS at', values: [local, zone] })
  return rows[0]!.at
}

function moved(error: unknown, from: string, to: string): unknown {
  if (!(error instanceof Problem)) return error
  return new Problem(error.code, { facts: error.facts, errors: error.errors.map((one) => (one.pointer === from ? { ...one, pointer: to } : one)), cause: error })
}
