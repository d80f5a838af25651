import { meaningOf, numberIn, type RobotChannel } from './channel.ts'

/**
 * 企业微信 消息推送（原群机器人）. The key in the URL is all there is to it: no signature. 20 messages a minute.
 * https://developer.work.weixin.qq.com/document/path/91770, codes: /document/path/90313
 */
export const wecom: RobotChannel = {
  hosts: ['qyapi.weixin.qq.com'],
  mostBytes: 2048,
  tokenOf({ pathname, searchParams }) {
    const key = searchParams.get('key') ?? ''
    return pathname.endsWith('/webhook/send') && /^[\w-]{8,100}$/.test(key) ? key : undefined
  },
  request: ({ url }, content) => ({ url, body: JSON.stringify({ msgtype: 'text', text: { content } }) }),
  read({ excerpt }) {
    const code = numberIn(excerpt, 'errcode')
    return code === undefined ? undefined : { code, meaning: meaningOf(MEANINGS, code) }
  },
}

const MEANINGS = {
  delivered: ['0'],
  throttled: ['45009', '45033'],
  token: ['93000', '93004', '93008', '40001', '40014'],
  ip: ['60020'],
  content: ['40008', '40058', '44004', '45002'],
} as const
