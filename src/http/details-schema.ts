import { z } from 'zod'

/** What `details` answers. */
export const DetailsSchema = z.strictObject({
  description: z.string().nullable().describe('详细说明'),
  location: z.strictObject({
    address: z.string().nullable(), lng: z.number().nullable().describe('经度，度'), lat: z.number().nullable().describe('纬度，度'), crs: z.literal('wgs84'),
  }).nullable().describe('具体位置'),
  form: z.strictObject({
    item: z.string().describe('服务菜单代码'),
    schema: z.looseObject({}).describe('填写时的表单'),
    answers: z.record(z.string(), z.json()),
    withheld: z.array(z.string()).describe('没有出示的个人信息字段：有权的人用 reveal 查看'),
  }).nullable(),
}).meta({ id: 'RequestDetails', description: '点单详情' })
