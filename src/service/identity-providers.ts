import { v7 as uuidv7 } from 'uuid'
import type { Actor } from '../domain/actor.ts'
import { inPerson } from '../domain/directory.ts'
import { secures } from '../domain/places.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { remember, tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import type { ReadJson } from './grant-request.ts'
import { readKeys } from './issuer-keys.ts'
import { readParent } from './nodes.ts'
import { rootOf } from './tenants.ts'
import { transaction } from './transaction.ts'

/** 统一身份认证: the issuers whose people may sign in. */
export interface Provider {
  id: string
  name: string
  /** As its tokens say it, to the letter. */
  issuer: string
  /** The client id under which it knows us. */
  audience: string
  /** Claim whose value is the 工号. */
  claim: string
  enabled: boolean
  createdAt: Date
  changedAt: Date
}

const VIEW = `id, name, issuer, audience, claim, enabled, "createdAt", "changedAt"`
/** Switched off elsewhere, it is so here after this long. */
const TTL_MS = 2_000
const MOST = 20

const key = (): string => `identity-providers/${tenantHere()}`

/** Of this tenant, those switched on. */
export async function liveProviders(db: Db): Promise<Provider[]> {
  const { providers } = await remember(db, key(), TTL_MS, async () => ({ providers: await all(db) }))
  return providers.filter(({ enabled }) => enabled)
}

/** @throws Problem forbidden */
export async function listProviders(db: Db, actor: Actor): Promise<Provider[]> {
  await requireSecurity(db, actor)
  return all(db)
}

async function all(db: Db): Promise<Provider[]> {
  const { rows } = await db.app.query<Provider>({ name: 'identity_providers', text: `SELECT ${VIEW} FROM identity_provider WHERE "tenantId" = $1 ORDER BY id`, values: [tenantHere()] })
  return rows
}

/** @throws Problem forbidden, not-found */
export async function readProvider(db: Db, id: string, actor: Actor): Promise<Provider> {
  const found = (await listProviders(db, actor)).find((provider) => provider.id === id)
  if (!found) throw new Problem('not-found')
  return found
}

export type NewProvider = Pick<Provider, 'name' | 'issuer' | 'audience' | 'claim'>

/**
 * It is asked for its keys before it is believed.
 * @throws Problem forbidden; issuer-unusable when it does not answer as an issuer should; validation-failed when it is known already; limit-reached
 */
export async function addProvider({ db, readJson }: { db: Db; readJson: ReadJson }, { name, issuer, audience, claim }: NewProvider, actor: Actor): Promise<Provider> {
  await requireSecurity(db, actor)
  if ((await all(db)).length >= MOST) throw new Problem('limit-reached')
  await readKeys(readJson, issuer).catch((error: unknown) => {
    throw new Problem('issuer-unusable', { cause: error, errors: [{ pointer: '/issuer', message: says('读不到它的发现文档和公钥', 'Its discovery document and keys cannot be read') }] })
  })
  const id = uuidv7()
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'add_identity_provider',
      text: `INSERT INTO identity_provider ("tenantId", id, name, issuer, audience, claim, "createdAt", "changedAt") VALUES ($1, $2, $3, $4, $5, $6, wishwall_now(), wishwall_now())`,
      values: [tenantHere(), id, name, issuer, audience, claim],
    })
    await account(client, actor, { action: 'provider.changed', object: 'provider', objectId: id, details: { claim, enabled: true } })
  }).catch((error: unknown) => { throw violates(error, 'identity_provider_issuer_key') ? known() : error })
  db.memory.delete(key())
  return readProvider(db, id, actor)
}

export type ProviderChange = { [Field in 'name' | 'audience' | 'claim' | 'enabled']?: Provider[Field] | undefined }

/** What is left out stays. Counts at once here and within two seconds elsewhere. @throws Problem forbidden, not-found, validation-failed */
export async function changeProvider(db: Db, id: string, change: ProviderChange, actor: Actor): Promise<Provider> {
  const before = await readProvider(db, id, actor)
  const { name, audience, claim, enabled } = { ...before, ...Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) }
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'change_identity_provider',
      text: `UPDATE identity_provider SET name = $3, audience = $4, claim = $5, enabled = $6, "changedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2`,
      values: [tenantHere(), id, name, audience, claim, enabled],
    })
    await account(client, actor, { action: 'provider.changed', object: 'provider', objectId: id, details: { claim, enabled } })
  }).catch((error: unknown) => { throw violates(error, 'identity_provider_issuer_key') ? known() : error })
  db.memory.delete(key())
  return readProvider(db, id, actor)
}

const known = () => new Problem('validation-failed', { errors: [{ pointer: '/audience', code: 'taken', message: says('该签发方和 audience 已登记', 'This issuer is entered with this audience already') }] })

/** Who says whose word is believed can become anybody: for security administrators of the whole tenant, in person. */
async function requireSecurity(db: Db, actor: Actor): Promise<void> {
  const root = await readParent(db, await rootOf(db))
  if (!root || !inPerson(actor) || !secures(actor, root.path)) throw new Problem('forbidden')
}
