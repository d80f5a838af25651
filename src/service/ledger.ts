import {
  GRADE_WORDS, KIND_WORDS, localTimes, RESULT_WORDS, SATISFACTION_WORDS, SOLVED_WORDS, SOURCE_WORDS, stateInWords,
} from '../domain/exports.ts'
import { maskName, maskPhone } from '../domain/masks.ts'
import type { RequestRow } from '../domain/request.ts'
import { isSecret } from '../domain/secret.ts'
import { tenantHere, type Db } from './db.ts'
import { recordShown, type Unmasked } from './export-reveals.ts'
import type { Keyring } from './keyring.ts'
import { openSubjects } from './subjects.ts'
import { tenant } from './tenants.ts'

/** 台账: requests as rows of words, a page at a time. */

interface Row extends Pick<RequestRow, 'id' | 'number' | 'kind' | 'confidential' | 'state' | 'grade' | 'source' | 'result' | 'solved' | 'satisfaction' | 'onTheSpot' | 'completedAt' | 'closedAt' | 'filedAt' | 'path'> {
  item: string
  category: string
  node: string
  moved: boolean
  via: string | null
  organisation: string | null
  filerId: string | null
  subjectId: string | null
  title: string | null
  description: string | null
  outcome: string | null
  overdue: boolean
}

const text = (field: string) => `(SELECT t.body FROM text t WHERE t."tenantId" = $1 AND t."requestId" = r.id AND t.field = '${field}' ORDER BY t.seq DESC LIMIT 1)`

async function rowsOf(db: Db, ids: readonly string[]): Promise<Row[]> {
  const { rows } = await db.app.query<Row>({
    name: 'ledger_rows',
    text: `SELECT r.id, r.number, r.kind, r.confidential, r.state, r.grade, r.source, r.result, r.solved, r.satisfaction, r."onTheSpot", r."completedAt", r."closedAt", r."filedAt", r.path, r."filerId",
        i.name AS item, i.category, n.name AS node, r."nodeId" <> r."responsibleNodeId" AS moved, a.via, a.name AS organisation, p."subjectId",
        ${text('title')} AS title, ${text('description')} AS description, ${text('outcome')} AS outcome,
        EXISTS (SELECT FROM deadline d WHERE d."tenantId" = $1 AND d."requestId" = r.id AND d."closedAt" IS NULL AND d."stoodAt" IS NULL AND d."dueAt" < wishwall_now()) AS overdue
      FROM unnest($2::uuid[]) WITH ORDINALITY u(id, place)
      CROSS JOIN LATERAL (SELECT * FROM request r WHERE r."tenantId" = $1 AND r.id = u.id LIMIT 1) r
      JOIN item i ON i."tenantId" = $1 AND i.id = r."itemId" JOIN node n ON n."tenantId" = $1 AND n.id = r."nodeId"
      LEFT JOIN person p ON p."tenantId" = $1 AND p.id = r."filerId"
      LEFT JOIN LATERAL (SELECT s.via, o.name FROM assignment s LEFT JOIN organisation o ON o."tenantId" = $1 AND o.id = s."organisationId"
        WHERE s."tenantId" = $1 AND s."requestId" = r.id AND s.role = 'lead' ORDER BY s.seq DESC, s.slot LIMIT 1) a ON true
      ORDER BY u.place`,
    values: [tenantHere(), ids],
  })
  return rows
}

/** Turns ids into rows of the 台账, or of the plain list. What is secret is a number, a kind, a state and a community, for everybody. */
export async function ledgerWriter(db: Db, keyring: Keyring, unmasked: Unmasked | undefined): Promise<Record<'ledger' | 'requests', (ids: readonly string[]) => Promise<string[][]>>> {
  const [{ settings: { zone, wallLevel, levels } }, { rows: [named] }] = await Promise.all([
    tenant(db), db.app.query<{ name: string }>({ name: 'tenant_name', text: 'SELECT name FROM tenant WHERE id = $1', values: [tenantHere()] }),
  ])
  const district = named?.name ?? ''
  const time = localTimes(zone)
  const level = (code: string, fallback: number) => (levels.some((one) => one.code === code) ? code : levels[fallback]?.code ?? '')
  const [street, community] = [level('street', 0), level('community', 1)]
  const placesOf = placeNames(db)

  const ledger = async (ids: readonly string[]): Promise<string[][]> => {
    const rows = await rowsOf(db, ids)
    const [places, people] = await Promise.all([placesOf(rows.map(({ path }) => path)), openSubjects(db, keyring, rows.flatMap(({ subjectId, ...row }) => (subjectId === null || isSecret(row) ? [] : [subjectId])))])
    if (unmasked) {
      const shown = rows.flatMap((row) => (isSecret(row) || row.filerId === null || !people.has(row.subjectId ?? '') ? [] : [{ person: row.filerId, request: row.id }]))
      await recordShown(db, shown, ['name', 'phone'], unmasked)
    }
    return rows.map((row) => {
      const at = places(row.path)
      const [area, village, spot] = [at(street), at(community), at(wallLevel)]
      if (isSecret(row)) return [row.number, '保密', '', '', '', '', stateInWords(row.state), '', '', district, area, '', '', '', '', '', '', '', '', village, '']
      const { name, phone } = people.get(row.subjectId ?? '') ?? {}
      const shown = unmasked ? [name ?? '', phone ?? ''] : [name === undefined ? '' : maskName(name), phone === undefined ? '' : maskPhone(phone)]
      return [
        row.number, KIND_WORDS[row.kind], `${KIND_WORDS[row.kind]}->${row.category}->${row.item}`, row.grade === null ? '' : GRADE_WORDS[row.grade], row.title ?? '', row.description ?? '', stateInWords(row.state),
        ...shown, district, area, row.result === null ? '' : RESULT_WORDS[row.result], row.outcome ?? '', handling(row), time(row.completedAt), row.organisation ?? '',
        row.solved === null ? '' : SOLVED_WORDS[row.solved], row.satisfaction === null ? '未评价' : SATISFACTION_WORDS[row.satisfaction], row.moved ? '转办' : '主办', village, spot,
      ]
    })
  }

  const requests = async (ids: readonly string[]): Promise<string[][]> => (await rowsOf(db, ids)).map((row) => (isSecret(row)
    ? [row.number, '保密', '', '', stateInWords(row.state), '', '', time(row.filedAt), '', '', row.overdue ? '是' : '否', '', '']
    : [
      row.number, KIND_WORDS[row.kind], row.item, row.title ?? '', stateInWords(row.state), SOURCE_WORDS[row.source], row.node, time(row.filedAt), time(row.completedAt), time(row.closedAt), row.overdue ? '是' : '否',
      row.solved === null ? '' : SOLVED_WORDS[row.solved], row.satisfaction === null ? '' : SATISFACTION_WORDS[row.satisfaction],
    ]))

  return { ledger, requests }
}

const handling = ({ onTheSpot, via }: Row): string => (onTheSpot ? '当场办结' : via === 'claim' ? '认领' : via === null ? '' : '派单')

/** Names of the places above, by level; a street has few. */
function placeNames(db: Db): (paths: readonly string[]) => Promise<(path: string) => (level: string) => string> {
  const known = new Map<string, { name: string; level: string }>()
  return async (paths) => {
    const missing = [...new Set(paths.flatMap((path) => path.split('/').filter((code) => code !== '' && !known.has(code))))]
    if (missing.length > 0) {
      const { rows } = await db.app.query<{ code: string; name: string; level: string }>({ name: 'place_names', text: `SELECT code, name, level FROM node WHERE "tenantId" = $1 AND code = ANY ($2::text[])`, values: [tenantHere(), missing] })
      for (const { code, ...place } of rows) known.set(code, place)
    }
    return (path) => (level) => path.split('/').map((code) => known.get(code)).find((place) => place?.level === level)?.name ?? ''
  }
}
