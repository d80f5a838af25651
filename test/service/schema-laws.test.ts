import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COLUMNS } from '../../src/service/columns.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'

/** The laws of the schema (design, section 4), asked of the database itself. */

let database: TestDatabase
interface Column { table: string; column: string; type: string; nullable: boolean; collation: string | null; generated: boolean }
let columns: Column[]
let tables: string[]
const rows = async <T extends object>(sql: string, values: unknown[] = []): Promise<T[]> => (await database.owner.query<T>(sql, values)).rows

beforeAll(async () => {
  database = await freshDatabase()
  columns = await rows<Column>(`
    SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
      (SELECT collname FROM pg_collation WHERE oid = NULLIF(a.attcollation, 0)) AS collation, a.attgenerated <> '' AS generated
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum`)
  tables = [...new Set(columns.map(({ table }) => table))]
})
afterAll(() => database.drop())

const named = (list: readonly Column[]) => list.map(({ table, column }) => `${table}.${column}`)

/** What belongs to the installation and not to one customer. `tenant` is its own. */
const WITHOUT_TENANT = ['_prisma_migrations', 'audit_checkpoint', 'audit_head', 'audit_link', 'cursor', 'tenant', 'worker']
/** Written by the tool that migrates. */
const NOT_OURS = '_prisma_migrations'
const ours = () => columns.filter(({ table }) => table !== NOT_OURS)
const tenantTables = () => tables.filter((table) => !WITHOUT_TENANT.includes(table))

describe('every table', () => {
  test('belongs to a tenant, but for a few', () => {
    expect(tables).toEqual(expect.arrayContaining([...WITHOUT_TENANT, 'request', 'event', 'feed']))
    const tenantIds = columns.filter(({ column }) => column === 'tenantId')
    expect(tenantIds.map(({ table }) => table)).toEqual(tenantTables())
    expect(tenantIds.every(({ type, nullable }) => type === 'uuid' && !nullable)).toBe(true)
  })

  test('has the tenant first in every unique key', async () => {
    const keys = await rows<{ table: string; index: string; first: string }>(`
      SELECT i.indrelid::regclass::text AS table, i.indexrelid::regclass::text AS index,
        (SELECT attname FROM pg_attribute WHERE attrelid = i.indrelid AND attnum = i.indkey[0]) AS first
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique`)
    const ofTenants = keys.filter(({ table }) => tenantTables().includes(table.replaceAll('"', '')))
    expect(ofTenants.length).toBeGreaterThan(tenantTables().length)
    expect(ofTenants.filter(({ first }) => first !== 'tenantId')).toEqual([])
  })

  test('has the tenant in every foreign key, on both sides', async () => {
    const keys = await rows<{ name: string; from: string[]; to: string[]; target: string }>(`
      SELECT conname AS name, confrelid::regclass::text AS target,
        ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k(n, o) JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY o) AS from,
        ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k(n, o) JOIN pg_attribute ON attrelid = confrelid AND attnum = n ORDER BY o) AS to
      FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`)
    expect(keys.length).toBeGreaterThan(30)
    expect(keys.filter(({ from, to, target }) => from[0] !== 'tenantId' || to[0] !== (target === 'tenant' ? 'id' : 'tenantId'))).toEqual([])
  })

  test('reaches its tenant: directly, or through what it hangs on', async () => {
    const keys = await rows<{ from: string; to: string }>(`SELECT conrelid::regclass::text AS from, confrelid::regclass::text AS to FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace`)
    const reached = new Set(['tenant'])
    for (let grown = true; grown;) {
      const more = keys.filter(({ from, to }) => reached.has(to) && !reached.has(from)).map(({ from }) => from)
      for (const table of more) reached.add(table)
      grown = more.length > 0
    }
    expect(tenantTables().filter((table) => !reached.has(table))).toEqual([])
  })
})

describe('every column', () => {
  test('of time has a zone and milliseconds', () => {
    const times = ours().filter(({ type }) => /^(timestamp|date|time)/.test(type))
    expect(times.length).toBeGreaterThan(40)
    expect(named(times.filter(({ type }) => type !== 'timestamp(3) with time zone'))).toEqual([])
    expect(named(ours().filter(({ column, type }) => /(At|^at|^since|^until|^from|^to)$/.test(column) && !type.startsWith('timestamp')))).toEqual([])
  })

  test('of an id is a uuid', () => {
    const ids = ours().filter(({ column }) => /(^id|Id)$/.test(column) || ['caller', 'onBehalfOf'].includes(column))
    expect(ids.length).toBeGreaterThan(50)
    // the public name of an app, such as demo-app
    expect(named(ids.filter(({ type }) => type !== 'uuid'))).toEqual(['client.clientId', 'external_user.appId', 'external_user.openId'])
  })

  test('of a path is compared by byte', () => {
    const paths = ours().filter(({ column }) => /path$/i.test(column))
    expect(paths.length).toBeGreaterThan(8)
    expect(named(paths.filter(({ type, collation }) => type !== 'text' || collation !== 'C'))).toEqual([])
  })

  test('is of a type we know', () => {
    const known = ['uuid', 'text', 'integer', 'bigint', 'boolean', 'jsonb', 'bytea', 'text[]', 'double precision', 'timestamp(3) with time zone']
    expect(named(ours().filter(({ type }) => !known.includes(type)))).toEqual([])
  })

  test('that the aggregate has is one that `commit` writes', () => {
    const short: Record<string, string> = { 'timestamp(3) with time zone': 'timestamptz', integer: 'int', boolean: 'bool' }
    const real = Object.keys(COLUMNS).map((table) => [table, Object.fromEntries(columns
      .filter((column) => column.table === table && !['tenantId', 'erasedAt'].includes(column.column) && !column.generated)
      .map(({ column, type }) => [column, short[type] ?? type]))])
    expect(COLUMNS).toEqual(Object.fromEntries(real))
    expect(named(columns.filter(({ generated }) => generated))).toEqual(['event.prevSeq'])
  })
})

/**
 * Words of people live in `text`, and on the wall in `wall_entry`, so that erasing is overwriting one row. Every other
 * column that could hold words is named here, with what it holds instead. A new one that is not is refused.
 */
const CODES = [
  'erasure.reason', 'retention_mark.what', 'reveal.fields', 'reveal.reason',
  'notification.toldAs', 'quiet_hours.begins', 'quiet_hours.ends', 'robot.channel', 'robot.code', 'robot.eventTypes', 'robot.kid', 'robot.mask', 'robot.reason', 'robot.status',
  'robot_message.code', 'robot_message.reason', 'robot_message.state', 'robot_message.type',
  'affiliation.kind', 'assignment.path', 'assignment.status', 'assignment.via', 'client.clientId', 'counter.key', 'cursor.name',
  'deadline.rungPath', 'deadline.step', 'duty.roleCode', 'event.actorKind', 'event.fromState', 'event.path', 'event.toState', 'event.verb',
  'feed.path', 'feed.type', 'idempotency.key', 'item.category', 'item.code', 'item.kind', 'item.mode', 'item.policyCode', 'node.code', 'node.level', 'node.path',
  'number_block.day', 'organisation.code', 'organisation.kind', 'outbox.path', 'outbox.type', 'person.login', 'person.passwordHash', 'policy.code',
  'request.externalRef', 'request.kind', 'request.number', 'request.path', 'request.result', 'request.satisfaction', 'request.solved', 'request.source',
  'request.state', 'request.supervisorPath', 'request.targetGroup', 'role.capabilities', 'role.code', 'client.scopes', 'client.corsOrigins', 'subject.kid', 'subject.namesKid', 'tenant.code',
  'text.field', 'wall_entry.scopePath', 'webhook_delivery.state', 'webhook_delivery.type', 'webhook_endpoint.algorithm',
  'webhook_endpoint.disabledReason', 'webhook_endpoint.eventTypes', 'webhook_endpoint.status', 'webhook_endpoint.url', 'webhook_secret.kid', 'webhook_secret.publicKey',
  'ask.kind', 'ask.path', 'ask.reason', 'ask.status', 'assignment.level', 'assignment.role', 'consent.by', 'consent.how', 'consent.purpose', 'item.grade', 'request.grade',
  'request.resolvedAtLevel', 'attachment.key', 'attachment.kind', 'attachment.thumbKey', 'attachment.type',
  'affiliation.reason', 'affiliation.tie', 'api_key.lastFour', 'api_key.scopes', 'external_user.appId', 'external_user.provider', 'item.skills', 'organisation.uscc',
  'skill.code', 'skill_holder.skillCode', 'identity_provider.issuer', 'identity_provider.audience', 'identity_provider.claim', 'totp.kid', 'totp.recovery',
  'audit_checkpoint.kid', 'audit_entry.action', 'audit_entry.actorKind', 'audit_entry.call', 'audit_entry.objectKind', 'audit_head.kid', 'audit_link.kind',
  'rate_month.abovePath', 'rate_month.base', 'rate_month.item', 'rate_month.path', 'rate_fact.base', 'rate_fact.item', 'rate_fact.path', 'credit_entry.holder', 'credit_entry.path', 'credit_entry.reason',
  'operation.kid', 'operation.kind', 'operation.position', 'operation.result', 'operation.state',
  'contact_card.audience', 'contact_card.fields', 'campaign.code', 'campaign.items',
  'import_row.state', 'visit.clientRef', 'visit.path', 'visit.result',
  'calendar_day.day', 'calendar_day.kind', 'rescheduling.policyCode', 'rescheduling.reason', 'rescheduling.scope',
]
/** Names of places, organisations, services and apps: not of people. */
const LABELS = ['robot.name', 'client.name', 'item.name', 'node.name', 'organisation.name', 'role.name', 'tenant.name', 'api_key.name', 'skill.name', 'identity_provider.name', 'calendar_day.name', 'venue.name', 'venue.address', 'venue.hours', 'campaign.name']
/** Of those who receive webhooks: what they say of themselves, and the first bytes of what they answer. */
const RECEIVERS = ['webhook_endpoint.description']
const WORDS = ['audit_reason.body', 'text.body', 'wall_entry.text', 'wall_entry.title']
const DOCUMENTS = ['import_row.faults', 'operation.errors', 'audit_entry.details', 'event.data', 'item.form', 'item.gradePolicies', 'feed.payload', 'outbox.payload', 'policy.body', 'tenant.settings', 'webhook_delivery.log', 'calendar_day.hours', 'calendar_hours.week', 'calendar_year.days']
/** Sealed or hashed. */
const BYTES = ['household.door', 'visit.fingerprint', 'operation.input', 'robot.fingerprint', 'robot.sealed', 'client.secretHash', 'idempotency.answer', 'idempotency.fingerprint', 'subject.key', 'subject.phone', 'subject.sealed', 'subject_name.gram', 'webhook_secret.sealed',
  'attachment.sha256', 'audit_checkpoint.hash', 'audit_checkpoint.signature', 'audit_head.hash', 'audit_head.signature', 'audit_link.digest', 'audit_link.hash', 'audit_link.history', 'api_key.hash', 'client.formerSecretHash', 'external_user.openId', 'totp.sealed', 'lockout.key']

describe('free text', () => {
  test('is nowhere but in `text` and on the wall', () => {
    const ofType = (...types: string[]) => named(ours().filter(({ type }) => types.includes(type))).sort()
    // A table that is not here yet may be named already; a column that is gone may not.
    const expected = (list: string[]) => list.filter((name) => tables.includes(name.split('.')[0]!)).sort()
    expect(ofType('text', 'text[]')).toEqual(expected([...CODES, ...LABELS, ...RECEIVERS, ...WORDS]))
    expect(ofType('jsonb')).toEqual(expected(DOCUMENTS))
    expect(ofType('bytea')).toEqual(expected(BYTES))
  })
})

describe('the two roles', () => {
  const ROLES = ['wishwall_app', 'wishwall_system'] as const
  type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE' | 'REFERENCES' | 'TRIGGER'
  const may = async (role: string, privilege: Privilege) =>
    (await rows<{ table: string }>(`SELECT c.relname AS table FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege($1, c.oid, $2) ORDER BY 1`, [role, privilege])).map(({ table }) => table)
  /** Append-only, or written by one statement of another role. */
  const NEVER_CHANGED = ['credit_entry', 'audit_checkpoint', 'audit_entry', 'audit_link', 'audit_outbox', 'audit_reason', 'event', 'feed', 'text', 'policy', 'item', 'idempotency', 'outbox']

  test('own nothing and are bound by the second wall', async () => {
    expect(await rows(`SELECT rolname, rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = ANY ($1) ORDER BY 1`, [ROLES])).toEqual(
      ROLES.map((rolname) => ({ rolname, rolsuper: false, rolbypassrls: false, rolcanlogin: false, rolcreaterole: false, rolcreatedb: false })))
    expect(await rows(`SELECT relname FROM pg_class WHERE relowner = ANY (SELECT oid FROM pg_roles WHERE rolname = ANY ($1))`, [ROLES])).toEqual([])
    expect(await rows(`SELECT m.member::regrole::text FROM pg_auth_members m WHERE m.member = ANY (SELECT oid FROM pg_roles WHERE rolname = ANY ($1))`, [ROLES])).toEqual([])
  })

  test('delete only what is passing by', async () => {
    expect(await may('wishwall_app', 'DELETE')).toEqual([])
    expect((await may('wishwall_system', 'DELETE')).filter((table) => !['attachment', 'audit_outbox', 'cursor', 'idempotency', 'outbox', 'webhook_delivery', 'worker'].includes(table))).toEqual([])
    for (const role of ROLES) for (const privilege of ['TRUNCATE', 'REFERENCES', 'TRIGGER'] as const) expect(await may(role, privilege), `${role} ${privilege}`).toEqual([])
  })

  test('change no history, no version and no words', async () => {
    for (const role of ROLES) expect((await may(role, 'UPDATE')).filter((table) => NEVER_CHANGED.includes(table)), role).toEqual([])
    const single = await rows<{ what: string }>(`
      SELECT r.role || ' ' || c.relname || '.' || a.attname AS what FROM unnest($1::text[]) r(role), pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($2) AND has_column_privilege(r.role, c.oid, a.attnum, 'UPDATE')`, [ROLES, NEVER_CHANGED])
    expect(single.map(({ what }) => what)).toEqual(['wishwall_app item.retiredAt'])
  })

  test('have nothing to do with migrations but to see for /readyz which have landed, and everybody else with nothing', async () => {
    for (const role of ROLES) for (const privilege of ['INSERT', 'UPDATE'] as const) expect(await may(role, privilege)).not.toContain(NOT_OURS)
    expect(await may('wishwall_app', 'SELECT')).not.toContain(NOT_OURS)
    expect(await rows(`SELECT table_name, privilege_type FROM information_schema.table_privileges WHERE table_schema = 'public' AND grantee = 'PUBLIC'`)).toEqual([])
    expect(await rows(`SELECT has_schema_privilege(r, 'public', 'CREATE') AS creates FROM unnest($1::text[]) r`, [ROLES])).toEqual([{ creates: false }, { creates: false }])
  })

  test('app: the feed and the outbox are written by commit and relay alone', async () => {
    expect(await may('wishwall_app', 'INSERT')).not.toContain('feed')
    expect(await may('wishwall_app', 'SELECT')).not.toContain('outbox')
    expect((await may('wishwall_app', 'INSERT')).filter((table) => WITHOUT_TENANT.includes(table))).toEqual([])
    expect((await may('wishwall_app', 'UPDATE')).filter((table) => WITHOUT_TENANT.includes(table))).toEqual([])
  })
})

describe('the second wall', () => {
  test('stands around every tenant table, with one gate for each role', async () => {
    const walled = await rows<{ table: string; policies: string[] }>(`
      SELECT c.relname AS table, ARRAY(SELECT format('%s to %s for %s: %s / %s', p.policyname, array_to_string(p.roles, ','), p.cmd, p.qual, p.with_check) FROM pg_policies p WHERE p.schemaname = 'public' AND p.tablename = c.relname ORDER BY 1) AS policies
      FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity ORDER BY 1`)
    expect(walled.map(({ table }) => table)).toEqual([...tenantTables(), 'tenant'].sort())
    for (const { table, policies } of walled) {
      const key = table === 'tenant' ? 'id' : '"tenantId"'
      expect(policies, table).toEqual([
        'system to wishwall_system for ALL: true / ',
        `tenant to wishwall_app for ALL: (${key} = ( SELECT wishwall_tenant() AS wishwall_tenant)) / `,
      ])
    }
  })
})
