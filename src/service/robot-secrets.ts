import { createHmac } from 'node:crypto'
import type { Channel } from '../domain/robot.ts'
import type { Keyring } from './keyring.ts'
import { seal, unseal } from './seal.ts'

/** What lets its owner write into a group. */
export interface RobotAddress {
  url: string
  /** 加签 secret; null where there is none. */
  secret: string | null
}

interface Owner {
  tenantId: string
  robotId: string
}

/** An address opens at its own robot only. */
export const placeOf = ({ tenantId, robotId }: Owner): string => `robot/${tenantId}/${robotId}`

export function sealAddress(keyring: Keyring, owner: Owner, { url, secret }: RobotAddress): { kid: string; sealed: Buffer } {
  const [{ kid, secret: key }] = keyring.seal
  return { kid, sealed: seal(key, Buffer.from(JSON.stringify({ url, secret })), placeOf(owner)) }
}

/** @throws Error when the keyring no longer has the key it was sealed by, or the row was moved */
export function openAddress(keyring: Keyring, owner: Owner, { kid, sealed }: { kid: string; sealed: Buffer }): RobotAddress {
  const key = keyring.seal.find((one) => one.kid === kid)
  if (!key) throw new Error(`robot ${owner.robotId} sealed by an unknown key ${kid}`)
  return JSON.parse(unseal(key.secret, sealed, placeOf(owner)).toString()) as RobotAddress
}

/** The same for the same robot of a tenant, however its URL is spelled: under every index key, the newest first. */
export const fingerprints = (keyring: Keyring, tenantId: string, channel: Channel, token: string): Buffer[] =>
  keyring.index.map(({ secret }) => createHmac('sha256', secret).update(`robot/${tenantId}/${channel}/${token}`).digest())

/** What may be shown: the host, and so much of the key that two robots can be told apart. */
export const maskOf = (url: string, token: string): string => `${new URL(url).origin}/…****${token.length >= 16 ? token.slice(-4) : ''}`
