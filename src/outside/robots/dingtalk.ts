import { createHmac } from 'node:crypto'
import { meaningOf, numberIn, type RobotChannel } from './channel.ts'

/**
 * 钉钉 自定义机器人. 加签: `timestamp` (ms) and `sign` in the URL. 20 messages a minute, beyond that 10 minutes of nothing.
 * https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages
 */
export const dingtalk: RobotChannel = {
  hosts: ['oapi.dingtalk.com'],
  mostBytes: 20_000,
  tokenOf({ pathname, searchParams }) {
    const token = searchParams.get('access_token') ?? ''
    return pathname.endsWith('/robot/send') && /^[\w-]{8,200}$/.test(token) ? token : undefined
  },
  request({ url, secret }, content, now) {
    const signed = new URL(url)
    if (secret !== null) {
      const timestamp = String(now.getTime())
      signed.searchParams.set('timestamp', timestamp)
      signed.searchParams.set('sign', dingtalkSign(secret, timestamp))
    }
    return { url: signed.href, body: JSON.stringify({ msgtype: 'text', text: { content } }) }
  },
  read({ excerpt }) {
    const code = numberIn(excerpt, 'errcode')
    if (code === undefined) return undefined
    // 310000 is all three of 安全设置; which one it is stands in words only.
    return { code, meaning: code === '310000' ? guardIn(excerpt) : meaningOf(MEANINGS, code) }
  },
}

/** base64 of HMAC-SHA256 over `timestamp` (ms), line feed, secret, under the secret. */
export const dingtalkSign = (secret: string, timestamp: string): string => createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64')

const guardIn = (excerpt: string) => (/keyword|关键词/i.test(excerpt) ? 'keyword' : /whitelist|白名单|\bip\b/i.test(excerpt) ? 'ip' : 'signature')

const MEANINGS = {
  delivered: ['0'],
  throttled: ['130101', '410100', '90030', '90018'],
  token: ['300001', '300005', '400013', '400101', '400102', '400106', '404'],
  content: ['101002', '40035', '400105', '430101', '430102', '430103', '430104', '460101'],
} as const
