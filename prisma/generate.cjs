// Writes the typed client into src/service/generated. Prisma's own generator, called directly: the `prisma`
// CLI around it downloads an engine binary when installed, calls home when run, and weighs 160 MB.
// CommonJS because the generator's ESM build imports files without extensions.
const { PrismaClientTsGenerator } = require('@prisma/client-generator-ts')
const { getGenerator } = require('@prisma/internals')
const { join } = require('node:path')

async function generate() {
  const generator = await getGenerator({
    schemaPath: join(__dirname, 'schema.prisma'),
    registry: { 'prisma-client': { type: 'in-process', generator: new PrismaClientTsGenerator() } },
    skipDownload: true,
  })
  await generator.generate()
}

generate().catch((error) => {
  console.error(error.message)
  process.exitCode = 1
})
