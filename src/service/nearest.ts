import type { Point } from '../domain/coordinates.ts'
import { pathInWords } from '../domain/open311.ts'
import { Problem, says } from '../domain/problems.ts'
import { tenantHere, type Db } from './db.ts'
import { rootOf } from './tenants.ts'

/** Farther from every place of ours, in metres, it is somebody else's. */
const FARTHEST_M = 5_000
const METRES_PER_DEGREE = 111_320
/** Degrees of latitude that many metres are. */
const BAND = FARTHEST_M / METRES_PER_DEGREE

/**
 * The place that coordinates or an address mean, for those who know no code of ours: the nearest that has coordinates (of
 * equally near ones the finest), else the one the address names, else the tenant as a whole, whose staff put it right by 更正.
 * @returns its id
 * @throws Problem node-unknown at /lat for a point far from all
 */
export async function nodeAt(db: Db, { point, address }: { point?: Point | undefined; address?: string | undefined }): Promise<string> {
  const near = point && await nearest(db, point)
  if (near) return near
  if (point && await isAnyPlaced(db)) throw new Problem('node-unknown', { errors: [{ pointer: '/lat', message: says('不在服务范围内', 'Outside the area served') }] })
  return (address === undefined ? undefined : await named(db, address)) ?? rootOf(db)
}

async function nearest(db: Db, { lng, lat }: Point): Promise<string | undefined> {
  const { rows: [row] } = await db.app.query<{ id: string }>({
    name: 'node_nearest',
    text: `SELECT id FROM (
        SELECT n.id, n.path, ${METRES_PER_DEGREE} * sqrt(((n.lng - $2) * cos(radians($3))) ^ 2 + (n.lat - $3) ^ 2) AS metres FROM node n
        WHERE n."tenantId" = $1 AND n."retiredAt" IS NULL AND n.lat BETWEEN $3 - ${BAND} AND $3 + ${BAND}) near
      WHERE metres <= ${FARTHEST_M} ORDER BY metres, length(path) DESC LIMIT 1`,
    values: [tenantHere(), lng, lat],
  })
  return row?.id
}

async function isAnyPlaced(db: Db): Promise<boolean> {
  const { rows } = await db.app.query({ name: 'nodes_placed', text: `SELECT FROM node WHERE "tenantId" = $1 AND lat IS NOT NULL AND "retiredAt" IS NULL LIMIT 1`, values: [tenantHere()] })
  return rows.length > 0
}

async function named(db: Db, address: string): Promise<string | undefined> {
  const { rows } = await db.app.query<{ id: string; name: string; path: string }>({
    name: 'nodes_named', text: `SELECT id, name, path FROM node WHERE "tenantId" = $1 AND "retiredAt" IS NULL AND length(name) >= 2 AND strpos($2, name) > 0 ORDER BY path LIMIT 2000`,
    values: [tenantHere(), address],
  })
  const path = pathInWords(rows)
  if (path === '') return undefined
  const { rows: [node] } = await db.app.query<{ id: string }>({ name: 'node_by_path', text: `SELECT id FROM node WHERE "tenantId" = $1 AND path = $2`, values: [tenantHere(), path] })
  return node?.id
}
