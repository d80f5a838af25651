import { STEPS, VERBS, verbOf, type Relation, type State, type Step, type VerbName } from '../domain/machine.ts'
import { pageOf, decodeCursor, type Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'

/** The consumer's place in the feed: a lost job is made good by the next one. */
const CURSOR = 'notifications'

interface FeedEvent {
  tenantId: string
  position: string
  requestId: string
  verb: VerbName
  actorId: string | null
  at: Date
  data: { step?: Step; rung?: string; top?: true }
}

/** Who is told of an event: an address the database resolves when it is read, so that a stand-in is told too. */
interface Address {
  tenantId: string
  position: string
  requestId: string
  relation: Relation | 'rung' | 'supervisor'
  rung: string | null
  except: string | null
  at: Date
}

export function addresses({ tenantId, position, requestId, verb, actorId, at, data }: FeedEvent): Address[] {
  const to = (relation: Address['relation'], rung: string | null = null) => ({ tenantId, position, requestId, relation, rung, except: actorId, at })
  const told = verbOf(verb).tells.map((relation) => to(relation))
  if (verb === 'escalate' && data.rung) told.push(to('rung', data.rung))
  if (verb === 'remind' && data.step) told.push(data.top ? to('supervisor') : to(STEPS[data.step].late))
  return told
}

const HELD = `d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now())`
const HOLDER = `COALESCE(d."standInId", d."personId")`

/** Holding the work at the event, or having done it: whoever was let go by the very event is told of it too. */
const CONCERNED = `s."tenantId" = r."tenantId" AND s."requestId" = r.id AND (s.status IN ('active', 'done') OR s.until >= a.at)`

const DELIVER = `
  WITH address AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS a("tenantId" uuid, position bigint, "requestId" uuid, relation text, rung uuid, "except" uuid, at timestamptz)),
  told AS (
    SELECT a."tenantId", a.position, a."except", p.id FROM address a
    JOIN request r ON r."tenantId" = a."tenantId" AND r.id = a."requestId"
    CROSS JOIN LATERAL (
      SELECT r."filerId" AS id WHERE a.relation = 'filer'
      UNION ALL SELECT r."beneficiaryId" WHERE a.relation = 'beneficiary'
      UNION ALL SELECT s."personId" FROM assignment s WHERE a.relation = 'assignee' AND ${CONCERNED}
      UNION ALL SELECT ${HOLDER} FROM assignment s
        JOIN duty d ON d."tenantId" = s."tenantId" AND d."organisationId" = s."organisationId" AND ${HELD}
        WHERE a.relation = 'assignee' AND s."personId" IS NULL AND ${CONCERNED}
      UNION ALL SELECT ${HOLDER} FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
        JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
        WHERE a.relation IN ('rung', 'supervisor') AND d."tenantId" = r."tenantId" AND d."organisationId" IS NULL AND 'supervise' = ANY (ro.capabilities) AND ${HELD}
          AND CASE a.relation WHEN 'rung' THEN d."nodeId" = a.rung ELSE n.path = r."supervisorPath" END
      UNION ALL (SELECT ${HOLDER} FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
        JOIN node n ON n."tenantId" = d."tenantId" AND n.id = d."nodeId"
        WHERE a.relation = ANY (ro.capabilities) AND d."tenantId" = r."tenantId" AND d."organisationId" IS NULL AND n.code = ANY (string_to_array(r.path, '/')) AND ${HELD}
        ORDER BY length(n.path) DESC FETCH FIRST 1 ROW WITH TIES)
    ) p WHERE p.id IS NOT NULL AND p.id IS DISTINCT FROM a."except"),
  sent AS (
    INSERT INTO notification ("tenantId", "personId", position) SELECT DISTINCT "tenantId", id, position FROM told
    ON CONFLICT DO NOTHING RETURNING 1)
  SELECT count(*)::int AS sent FROM sent`

/**
 * Puts what the feed says into the inboxes of those it concerns. Safe to run twice and by several workers: the cursor
 * row is locked, and an inbox holds a position once.
 * @returns how many feed rows were read; a full batch means there may be more
 */
export async function notifyOnce(db: Db, batch = 500): Promise<number> {
  const client = await db.system.connect()
  try {
    await client.query('BEGIN')
    await client.query(`INSERT INTO cursor (name, position) VALUES ('${CURSOR}', 0) ON CONFLICT DO NOTHING`)
    const { rows: [cursor] } = await client.query<{ position: string }>(`SELECT position FROM cursor WHERE name = '${CURSOR}' FOR UPDATE`)
    const { rows: events } = await client.query<FeedEvent>({
      name: 'feed_after',
      text: `SELECT f."tenantId", f.position, f."requestId", e.verb, e."actorId", e.at, e.data FROM feed f
        JOIN event e ON e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq
        WHERE f.position > $1 ORDER BY f.position LIMIT $2`,
      values: [cursor?.position ?? '0', batch],
    })
    const last = events.at(-1)
    if (last) {
      await client.query({ name: 'deliver_notifications', text: DELIVER, values: [JSON.stringify(events.flatMap(addresses))] })
      await client.query(`UPDATE cursor SET position = $1 WHERE name = '${CURSOR}'`, [last.position])
    }
    await client.query('COMMIT')
    client.release()
    return events.length
  } catch (error) {
    client.release(true)
    throw error
  }
}

export interface Notification {
  id: string
  type: string
  title: string
  number: string
  requestId: string
  at: Date
  readAt: Date | null
  state: State
}

/** A person's inbox, newest first. */
export async function inbox(db: Db, personId: string, { limit, cursor }: { limit: number; cursor?: string | undefined }): Promise<Page<Notification>> {
  const before = cursor === undefined ? null : decodeCursor(cursor, /^\d{1,19}$/)
  const { rows } = await db.app.query<Omit<Notification, 'title'> & { position: string; verb: VerbName }>({
    name: 'inbox',
    text: `SELECT n.position, f.id, f.type, f.at, f."requestId", f.payload ->> 'number' AS number, f.payload ->> 'state' AS state, e.verb, n."readAt"
      FROM notification n JOIN feed f ON f."tenantId" = n."tenantId" AND f.position = n.position
      JOIN event e ON e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq
      WHERE n."tenantId" = $1 AND n."personId" = $2 AND ($3::bigint IS NULL OR n.position < $3) ORDER BY n.position DESC LIMIT $4`,
    values: [tenantHere(), personId, before, limit + 1],
  })
  const { data, page } = pageOf(rows, limit, ({ position }) => position)
  return { data: data.map(({ position: _, verb, ...row }) => ({ ...row, title: `${row.number} ${VERBS[verb].zh}` })), page }
}
