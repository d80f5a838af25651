import { z } from 'zod'
import { flagQuery } from '../domain/atoms.ts'
import { RequestSchema } from './request-schema.ts'

/** What a filing answers: the request, and what it may repeat. */

export const likeness = z.number().describe('相似程度，0 到 1：文字、服务项目、地点')

export const DuplicateSchema = z.strictObject({ request: RequestSchema, likeness }).meta({ id: 'Duplicate', description: '疑似重复的一件' })

export const FiledSchema = RequestSchema.extend({
  duplicates: z.array(DuplicateSchema).optional().describe('疑似重复：同一小区、一个月内、未结案而说法相近的，最像的在前，至多 5 件；没有查找的不带本字段'),
}).meta({ id: 'FiledRequest', description: '刚提交的点单' })

export const FilingQuerySchema = z.strictObject({
  duplicates: flagQuery.optional().describe('是否查找疑似重复。缺省：工作人员在其辖区点单时查找；其他人写 true 才查找，并且只看得到自己提交的。保密件和调解件不参与')
    .meta({ examples: [true] }),
})
