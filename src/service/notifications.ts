import { VERBS, type State, type Step, type VerbName } from '../domain/machine.ts'
import { DUE_STEPS, kindOf, rankOf, todoOf, toldOf, type NoticeData, type NoticeKind } from '../domain/notice.ts'
import { Problem } from '../domain/problems.ts'
import { decodeCursor, pageOf, type Page } from './cursor.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { HELD, HOLDER } from './holders.ts'
import { communityOf, dueOf, secretOf } from './notice-columns.ts'
import { disturbance } from './quiet-hours.ts'
import { transaction } from './transaction.ts'

/** The consumer's place in the feed: a lost job is made good by the next one. */
const CURSOR = 'notifications'

interface FeedEvent {
  tenantId: string
  position: string
  id: string
  requestId: string
  path: string
  verb: VerbName
  actorId: string | null
  at: Date
  data: NoticeData
  grade: string | null
  policyId: string
  now: Date
}

/** Who is told of an event: an address the database resolves when it is read, so that a stand-in is told too. */
interface Address {
  tenantId: string
  position: string
  id: string
  requestId: string
  /** A relation of the machine, `rung` or `supervisor`. */
  as: string
  rank: number
  rung: string | null
  except: string | null
  at: Date
  urgent: boolean
  quietUntil: Date | null
  /** Of several parties those whom the event is about; null for all. */
  meant: string[] | null
  /** 终审: above the place itself, wherever the asker stands. */
  final: boolean
}

/** Verbs about one party among several: `data` names it. */
const ABOUT: Partial<Record<VerbName, 'to' | 'co'>> = { assign: 'to', 'add-co': 'to', whistle: 'to', 'remove-co': 'co' }

function addresses({ tenantId, position, id, requestId, verb, actorId, at, data }: FeedEvent, { urgent, quietUntil }: Pick<Address, 'urgent' | 'quietUntil'>): Address[] {
  const rung = data.rung ?? null
  const about = ABOUT[verb] === undefined ? undefined : (data as Record<string, unknown>)[ABOUT[verb]]
  const meant = about === undefined ? null : [about].flat().map(String)
  return toldOf(verb, data).map((as) => ({ tenantId, position, id, requestId, as, rank: rankOf(as), rung, except: actorId, at, urgent, quietUntil, meant, final: data.final === true }))
}

/** What is held at node `n`. Fenced: a planner that thinks duties few would read all of them for every address (0.6 ms each). */
const DUTY_AT_NODE = `node n CROSS JOIN LATERAL (
          SELECT d.*, ro.capabilities FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
          WHERE d."tenantId" = n."tenantId" AND d."nodeId" = n.id AND d."organisationId" IS NULL AND ${HELD} OFFSET 0) d`

/**
 * Whether an assignment is meant at the event: whoever was let go by the very event is told of it too, whoever came later
 * was told by what brought him. Those who have completed the work are told as long as nobody else has it.
 */
const MEANT = `s."tenantId" = r."tenantId" AND s."requestId" = r.id AND s.since <= a.at
  AND (a.meant IS NULL OR s."personId"::text = ANY (a.meant) OR s."organisationId"::text = ANY (a.meant) OR s."memberId"::text = ANY (a.meant)) AND CASE a."as"
  WHEN 'assignee' THEN s.role = 'lead' AND (s.status = 'active' OR (s.status NOT IN ('pending', 'declined') AND s.until >= a.at) OR (s.status = 'done' AND NOT EXISTS (
    SELECT FROM assignment o WHERE o."tenantId" = s."tenantId" AND o."requestId" = s."requestId" AND o.role = 'lead' AND o.status <> 'pending'
      AND o.since <= a.at AND (o.until IS NULL OR o.until >= a.at))))
  WHEN 'co' THEN s.role = 'co' AND (s.status = 'active' OR s.until >= a.at)
  WHEN 'pending' THEN s.role = 'lead' AND (s.status = 'pending' OR (s.status = 'declined' AND s.until >= a.at))
  WHEN 'handler' THEN s.role = 'lead' AND s.status = 'done'
  ELSE false END`

/** An ask waits for those above the asker, at the root for the root; others of their kind are nearest where they are. */
const ABOVE = `k.path IS NULL OR (starts_with(k.path, n.path) AND (n.path <> k.path OR n."parentId" IS NULL))`

/** The persons behind every address: parties, of an organisation those who act for it (`actsFor`), and the nearest holders of a capability. */
const DELIVER = `
  WITH address AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS a("tenantId" uuid, position bigint, id uuid, "requestId" uuid,
    "as" text, rank int, rung uuid, "except" uuid, at timestamptz, urgent bool, "quietUntil" timestamptz, meant text[], final bool)),
  told AS (
    SELECT a.*, p.id AS "personId" FROM address a
    JOIN request r ON r."tenantId" = a."tenantId" AND r.id = a."requestId"
    CROSS JOIN LATERAL (
      SELECT CASE a."as" WHEN 'filer' THEN r."filerId" WHEN 'beneficiary' THEN r."beneficiaryId" WHEN 'guardian' THEN r."guardianId" WHEN 'first_contact' THEN r."firstContactId" END AS id
      UNION ALL SELECT party.id FROM assignment s CROSS JOIN LATERAL (
          SELECT s."personId" AS id UNION ALL SELECT s."memberId"
          UNION ALL SELECT ${HOLDER} FROM duty d JOIN role ro ON ro."tenantId" = d."tenantId" AND ro.code = d."roleCode"
            WHERE d."tenantId" = s."tenantId" AND d."organisationId" = s."organisationId" AND 'handle' = ANY (ro.capabilities) AND ${HELD}) party
        WHERE ${MEANT}
      UNION ALL SELECT ${HOLDER} FROM ${DUTY_AT_NODE}
        WHERE a."as" = 'rung' AND n."tenantId" = r."tenantId" AND n.id = a.rung AND 'supervise' = ANY (d.capabilities)
      UNION ALL SELECT ${HOLDER} FROM ${DUTY_AT_NODE}
        WHERE a."as" = 'supervisor' AND n."tenantId" = r."tenantId" AND n.path = r."supervisorPath" AND 'supervise' = ANY (d.capabilities)
      UNION ALL (SELECT ${HOLDER} FROM ${DUTY_AT_NODE}
        LEFT JOIN LATERAL (SELECT r.path WHERE a."as" = 'approve' AND a.final
          UNION ALL (SELECT ask.path FROM ask WHERE a."as" = 'approve' AND NOT a.final AND ask."tenantId" = r."tenantId" AND ask."requestId" = r.id AND ask.kind <> 'return'
            AND ask."askedAt" <= a.at AND (ask."answeredAt" IS NULL OR ask."answeredAt" >= a.at) ORDER BY ask.seq DESC LIMIT 1)) k ON true
        WHERE a."as" = ANY (d.capabilities) AND n."tenantId" = r."tenantId" AND n.code = ANY (string_to_array(r.path, '/')) AND (${ABOVE})
        ORDER BY length(n.path) DESC FETCH FIRST 1 ROW WITH TIES)
    ) p WHERE p.id IS NOT NULL AND p.id IS DISTINCT FROM a."except"),
  sent AS (
    INSERT INTO notification ("tenantId", "personId", position, id, "toldAs", urgent, "quietUntil")
    SELECT DISTINCT ON ("tenantId", "personId", position) "tenantId", "personId", position, id, "as", urgent, "quietUntil" FROM told ORDER BY "tenantId", "personId", position, rank
    ON CONFLICT DO NOTHING RETURNING 1)
  SELECT count(*)::int AS sent FROM sent`

/**
 * Puts what the feed says into the inboxes of those it concerns. Safe to run twice and by several workers: the cursor
 * row is locked, and an inbox holds a position once.
 * @returns how many feed rows were read; a full batch means there may be more
 */
export function notifyOnce(db: Db, batch = 500): Promise<number> {
  return transaction(db.system, async (client) => {
    await client.query(`INSERT INTO cursor (name, position) VALUES ('${CURSOR}', 0) ON CONFLICT DO NOTHING`)
    const { rows: [cursor] } = await client.query<{ position: string }>(`SELECT position FROM cursor WHERE name = '${CURSOR}' FOR UPDATE`)
    const { rows: events } = await client.query<FeedEvent>({
      name: 'feed_after',
      text: `SELECT f."tenantId", f.position, f.id, f."requestId", f.path, e.verb, e."actorId", e.at, e.data, r.grade, r."policyId", (SELECT wishwall_now()) AS now FROM feed f
        JOIN event e ON e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq
        JOIN request r ON r."tenantId" = f."tenantId" AND r.id = f."requestId"
        WHERE f.position > $1 ORDER BY f.position LIMIT $2`,
      values: [cursor?.position ?? '0', batch],
    })
    const last = events.at(-1)
    if (!last) return 0
    const told: Address[] = []
    for (const event of events) told.push(...addresses(event, await inTenant(event.tenantId, () => disturbance(db, { ...event, step: event.data.step ?? null }))))
    await client.query({ name: 'deliver_notifications', text: DELIVER, values: [JSON.stringify(told)] })
    await client.query(`UPDATE cursor SET position = $1 WHERE name = '${CURSOR}'`, [last.position])
    return events.length
  })
}

/** Nothing personal: whoever is told opens the request and sees there what he may. */
export interface Notification {
  /** Of the event, as in the feed. */
  id: string
  type: string
  kind: NoticeKind
  /** Number and what happened. */
  title: string
  /** Null when nothing is to be done. */
  todo: string | null
  number: string
  requestId: string
  /** Name of the service; null in confidential matters. */
  item: string | null
  /** Where it is; in confidential matters the community. */
  node: { code: string; name: string } | null
  /** As the event left it. */
  state: State
  /** The step that a reminder or an escalation is about. */
  step: Step | null
  /** Of that step, else of what is due next; null when nothing is. */
  dueAt: Date | null
  urgent: boolean
  /** Not to be pushed before. */
  quietUntil: Date | null
  at: Date
  readAt: Date | null
  link: string
}

interface InboxRow extends Omit<Notification, 'kind' | 'title' | 'todo' | 'step' | 'link'> {
  position: string
  verb: VerbName
  data: NoticeData
  toldAs: string
}

interface InboxQuery {
  limit: number
  cursor?: string | undefined
  /** Only what was not read yet. */
  unread?: boolean | undefined
}

const SECRET = secretOf('r')

/** A person's inbox, newest first. @throws Problem cursor-unusable */
export async function inbox(db: Db, personId: string, { limit, cursor, unread = false }: InboxQuery): Promise<Page<Notification>> {
  const before = cursor === undefined ? null : decodeCursor(cursor, /^\d{1,19}$/)
  const { rows } = await db.app.query<InboxRow>({
    name: unread ? 'inbox_unread' : 'inbox',
    text: `SELECT n.position, n.id, f.type, f.at, f."requestId", f.payload ->> 'number' AS number, f.payload ->> 'state' AS state, e.verb, e.data,
        n."toldAs", n.urgent, n."quietUntil", n."readAt",
        CASE WHEN NOT ${SECRET} THEN i.name END AS item,
        (SELECT jsonb_build_object('code', p.code, 'name', p.name) FROM node p WHERE p."tenantId" = r."tenantId"
          AND CASE WHEN ${SECRET} THEN p.code = ${communityOf('r')} ELSE p.id = r."nodeId" END) AS node,
        ${dueOf('e', 'r', '$5')} AS "dueAt"
      FROM notification n JOIN feed f ON f."tenantId" = n."tenantId" AND f.position = n.position
      JOIN event e ON e."tenantId" = f."tenantId" AND e."requestId" = f."requestId" AND e.seq = f.seq
      JOIN request r ON r."tenantId" = f."tenantId" AND r.id = f."requestId" JOIN item i ON i."tenantId" = r."tenantId" AND i.id = r."itemId"
      WHERE n."tenantId" = $1 AND n."personId" = $2 AND ($3::bigint IS NULL OR n.position < $3) ${unread ? 'AND n."readAt" IS NULL' : ''} ORDER BY n.position DESC LIMIT $4`,
    values: [tenantHere(), personId, before, limit + 1, DUE_STEPS],
  })
  const { data, page } = pageOf(rows, limit, ({ position }) => position)
  return { data: data.map(notificationOf), page }
}

function notificationOf({ position: _, verb, data, toldAs, ...row }: InboxRow): Notification {
  return { ...row, kind: kindOf(verb, toldAs), title: `${row.number} ${VERBS[verb].zh}`, todo: todoOf(verb, toldAs, data), step: data.step ?? null, link: `/v1/requests/${row.requestId}` }
}

export async function countUnread(db: Db, personId: string): Promise<number> {
  const { rows: [row] } = await db.app.query<{ unread: number }>({
    name: 'inbox_count', text: `SELECT count(*)::int AS unread FROM notification WHERE "tenantId" = $1 AND "personId" = $2 AND "readAt" IS NULL`, values: [tenantHere(), personId],
  })
  return row!.unread
}

/**
 * Marks one, or with `andOlder` also all that came before it.
 * @returns how many are left unread
 * @throws Problem not-found when it is not in this inbox
 */
export async function markRead(db: Db, personId: string, id: string, { andOlder = false } = {}): Promise<number> {
  const { rows: [mark] } = await db.app.query<{ position: string }>({
    name: 'inbox_find', text: `SELECT position FROM notification WHERE "tenantId" = $1 AND "personId" = $2 AND id = $3`, values: [tenantHere(), personId, id],
  })
  if (!mark) throw new Problem('not-found')
  await db.app.query({
    name: andOlder ? 'inbox_read_up_to' : 'inbox_read',
    text: `UPDATE notification SET "readAt" = wishwall_now() WHERE "tenantId" = $1 AND "personId" = $2 AND position ${andOlder ? '<=' : '='} $3 AND "readAt" IS NULL`,
    values: [tenantHere(), personId, mark.position],
  })
  return countUnread(db, personId)
}
