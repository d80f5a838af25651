import { z } from 'zod'
import type { ReadJson } from './grant-request.ts'

const discovery = z.looseObject({ issuer: z.string(), jwks_uri: z.url() })
const keySet = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(200) })

/** RFC 7517. */
export type IssuerKeys = z.infer<typeof keySet>

/**
 * What an issuer's tokens are checked with (OpenID Connect Discovery 1.0, 4).
 * @throws Error when the issuer does not answer, or says to be another one
 */
export async function readKeys(readJson: ReadJson, issuer: string): Promise<IssuerKeys> {
  const said = discovery.parse(await readJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`))
  if (said.issuer !== issuer) throw new Error('the discovery document is of another issuer')
  return keySet.parse(await readJson(said.jwks_uri))
}
