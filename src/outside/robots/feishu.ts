import { createHmac } from 'node:crypto'
import { meaningOf, numberIn, type RobotChannel } from './channel.ts'

/**
 * 飞书 自定义机器人, and Lark abroad. 签名校验: `timestamp` (s) and `sign` in the body. 100 messages a minute, 5 a second.
 * https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
 */
export const feishu: RobotChannel = {
  hosts: ['open.feishu.cn', 'open.larksuite.com', 'open.larkoffice.com'],
  mostBytes: 20_000,
  tokenOf: ({ pathname }) => /\/open-apis\/bot\/v2\/hook\/([\w-]{8,100})$/.exec(pathname)?.[1],
  request({ url, secret }, text, now) {
    const timestamp = String(Math.floor(now.getTime() / 1000))
    const signed = secret === null ? {} : { timestamp, sign: feishuSign(secret, timestamp) }
    return { url, body: JSON.stringify({ ...signed, msg_type: 'text', content: { text } }) }
  },
  read({ status, excerpt }) {
    // Older answers say StatusCode alone.
    const code = numberIn(excerpt, 'code') ?? numberIn(excerpt, 'StatusCode')
    if (code === undefined) return status === 429 ? { code: '429', meaning: 'throttled' } : undefined
    // 9499 is what its gateway says of anything bad, and of too many.
    if (code === '9499') return { code, meaning: /too many|frequen/i.test(excerpt) || status === 429 ? 'throttled' : 'content' }
    return { code, meaning: meaningOf(MEANINGS, code) }
  },
}

/** base64 of HMAC-SHA256 over nothing, under `timestamp` (s), line feed, secret. */
export const feishuSign = (secret: string, timestamp: string): string => createHmac('sha256', `${timestamp}\n${secret}`).update('').digest('base64')

const MEANINGS = {
  delivered: ['0'],
  throttled: ['11232', '99991400'],
  token: ['19001'],
  signature: ['19021'],
  ip: ['19022'],
  keyword: ['19024'],
  content: ['19002', '11246', '230025'],
} as const
