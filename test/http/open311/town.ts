import { randomBytes } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { apiKeyFrom } from '../../../src/domain/api-key.ts'
import type { Form } from '../../../src/domain/form.ts'
import { SYSTEM } from '../../../src/domain/actor.ts'
import { sha256 } from '../../../src/service/clients.ts'
import { putItem } from '../../../src/service/items.ts'
import type { TestDatabase } from '../../database.ts'
import type { TestPlace } from '../../place.ts'

export const FORM: Form = {
  type: 'object', additionalProperties: false, required: ['use', 'copies'],
  properties: {
    use: { type: 'string', title: '用途', oneOf: [{ const: 'work', title: '就业' }, { const: 'school', title: '入学' }] },
    copies: { type: 'integer', title: '份数', description: '一式几份', minimum: 1, maximum: 5 },
    idNumber: { type: 'string', title: '身份证号', maxLength: 18, pattern: '^\\d{17}[\\dX]$', 'x-personal': true },
    papers: { type: 'array', title: '材料', uniqueItems: true, items: { type: 'string', oneOf: [{ const: 'id', title: '身份证' }, { const: 'deed', title: '房产证' }] } },
    note: { type: 'string', title: '备注' },
  },
}

/** 居住证明 (S2: 填表、审核、代办), under a policy that accepts by itself: a review is not to be left out. */
export const putProof = (database: TestDatabase, town: TestPlace, differs: object = {}) => town.inside(() => putItem(database.db, {
  code: 'residence-proof', name: '居住证明', category: '代办', kind: 'service', mode: 'dispatch', wall: false, policy: 'standard', grade: null, gradePolicies: {}, proof: false, form: FORM, review: true,
  ...differs,
}, SYSTEM))

/** An app with a key of its own. */
export async function keyOf(database: TestDatabase, { tenantId }: TestPlace, scopes = ['requests:read', 'requests:write']): Promise<{ key: string; clientId: string }> {
  const [clientId, key] = [uuidv7(), apiKeyFrom(randomBytes(32))]
  await database.owner.query('INSERT INTO client ("tenantId", id, "clientId", name, scopes) VALUES ($1, $2, $3, $3, $4)', [tenantId, clientId, `app-${clientId}`, scopes])
  await database.owner.query(`INSERT INTO api_key ("tenantId", id, "clientId", name, hash, "lastFour", scopes, "createdAt", "expiresAt") VALUES ($1, $2, $3, '脚本', $4, $5, $6, now(), now() + interval '1 year')`,
    [tenantId, uuidv7(), clientId, Buffer.from(sha256(key)), key.slice(-4), scopes])
  return { key, clientId }
}
