import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { IN_CLEAR, INVENTORY, KEPT, WHEN_ERASED, type FieldClass } from '../../src/domain/field-inventory.ts'
import { RETENTION } from '../../src/domain/privacy.ts'
import { freshDatabase, type TestDatabase } from '../database.ts'

/** The inventory of fields, held against the database itself: a column without a class is refused, and so is a class without its column. */

let database: TestDatabase
let columns: { table: string; column: string; type: string }[]
beforeAll(async () => {
  database = await freshDatabase()
  columns = (await database.owner.query<(typeof columns)[number]>(`
    SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> '_prisma_migrations'`)).rows
})
afterAll(() => database.drop())

const listed = Object.entries(INVENTORY).flatMap(([table, { fields }]) =>
  Object.entries(fields).flatMap(([of, names]) => names.split(/\s+/).map((column) => ({ name: `${table}.${column}`, table, column, of: of as FieldClass }))))
const of = (...classes: FieldClass[]) => listed.filter((field) => classes.includes(field.of))
const typeOf = (name: string) => columns.find(({ table, column }) => `${table}.${column}` === name)?.type

describe('the inventory', () => {
  test('has every column of every table once, and no other', () => {
    expect(listed.map(({ name }) => name).sort()).toEqual(columns.map(({ table, column }) => `${table}.${column}`).sort())
    expect(columns.length).toBeGreaterThan(300)
  })

  test('says what each table is for, how long it is kept and what becomes of it: by a term that there is', () => {
    for (const [table, { purpose, kept, erased }] of Object.entries(INVENTORY)) {
      expect(purpose.length, table).toBeGreaterThan(5)
      expect([...Object.keys(KEPT), ...Object.keys(RETENTION)], table).toContain(kept)
      expect(Object.keys(WHEN_ERASED), table).toContain(erased)
    }
    const used = Object.values(INVENTORY).map(({ kept }) => kept as string)
    expect(Object.keys(RETENTION).filter((term) => !used.includes(term))).toEqual([])
  })

  test('has what is personal as sealed bytes, what opens something too, and words in the tables that are overwritten', () => {
    expect(of('personal', 'sensitive').filter(({ name }) => typeOf(name) !== 'bytea').map(({ name }) => name)).toEqual(Object.keys(IN_CLEAR))
    expect(of('personal', 'sensitive').filter(({ name, table }) => !(name in IN_CLEAR) && ['no', 'ids'].includes(INVENTORY[table]!.erased))).toEqual([])
    // scrypt's and the recovery codes' hashes
    expect(of('secret').filter(({ name }) => typeOf(name) !== 'bytea').map(({ name }) => name).sort()).toEqual(['person.passwordHash', 'totp.recovery'])
    expect(of('free-text').filter(({ table }) => INVENTORY[table]!.erased !== 'overwritten')).toEqual([])
    expect(of('free-text').length).toBeGreaterThan(3)
  })

  test('calls no bytes, no text and no document harmless', () => {
    const words = of('none').filter(({ name }) => ['text', 'text[]', 'jsonb'].includes(typeOf(name)!))
    expect(words).toEqual([])
    // hashes of content and of links of the chain
    expect(of('none').filter(({ name }) => typeOf(name) === 'bytea').map(({ name }) => name).sort()).toEqual([
      'attachment.sha256', 'audit_checkpoint.hash', 'audit_checkpoint.signature', 'audit_head.hash', 'audit_head.signature', 'audit_link.digest', 'audit_link.hash', 'audit_link.history',
      'idempotency.fingerprint', 'robot.fingerprint', 'visit.fingerprint',
    ])
    expect(of('id').filter(({ name }) => typeOf(name) !== 'uuid')).toEqual([])
  })
})

describe('the eraser', () => {
  test('is the app and a little more: overwrites words, deletes what is a person’s or past its time, enters the ledger', async () => {
    const more = async (privilege: string) => (await database.owner.query<{ what: string }>(`
      SELECT c.relname || '.' || a.attname AS what FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND has_column_privilege('wishwall_eraser', c.oid, a.attnum, $1) AND NOT has_column_privilege('wishwall_app', c.oid, a.attnum, $1)
      ORDER BY 1`, [privilege])).rows.map(({ what }) => what)
    expect(await more('UPDATE')).toEqual(['audit_reason.body', 'audit_reason.erasedAt', ...['doneAt', 'doneId', 'tenantId', 'what'].map((name) => `retention_mark.${name}`), 'text.body', 'text.erasedAt'])
    expect([...new Set((await more('INSERT')).map((what) => what.split('.')[0]))]).toEqual(['erasure', 'retention_mark'])
    const { rows } = await database.owner.query<{ table: string }>(`SELECT relname AS table FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND has_table_privilege('wishwall_eraser', oid, 'DELETE') ORDER BY 1`)
    expect(rows.map(({ table }) => table)).toEqual(['external_user', 'idempotency', 'lockout', 'notification', 'operation', 'reveal', 'robot_message'])
  })

  test('cannot log in, owns nothing and is behind the second wall', async () => {
    const { rows } = await database.owner.query(`SELECT rolsuper, rolbypassrls, rolcanlogin, (SELECT count(*)::int FROM pg_class WHERE relowner = r.oid) AS owns FROM pg_roles r WHERE rolname = 'wishwall_eraser'`)
    expect(rows).toEqual([{ rolsuper: false, rolbypassrls: false, rolcanlogin: false, owns: 0 }])
  })
})
