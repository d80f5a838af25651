import { code } from './atoms.ts'

/** A resident as a third party's platform knows him, such as a WeChat openId under the app id of a mini-program. */
export interface ExternalUser {
  provider: string
  appId: string
  openId: string
}

const OPEN_ID = /^[\x21-\x7e]{1,128}$/

/** @param token `provider:appId:openId`; an openId may hold colons. @returns undefined when it is none */
export function parseExternalUser(token: string): ExternalUser | undefined {
  const [, provider = '', appId = '', openId = ''] = /^([^:]*):([^:]*):(.*)$/s.exec(token) ?? []
  return code.safeParse(provider).success && code.safeParse(appId).success && OPEN_ID.test(openId) ? { provider, appId, openId } : undefined
}
