-- Names that can be found: each two neighbours of a name, as a keyed hash. Non-breaking: a table, and a column that may be null.
-- Names of before, and of whoever does not write them yet, are taken in by the worker (service/names.ts).

-- Under which key its name is findable; null until it was looked at.
ALTER TABLE "subject" ADD COLUMN "namesKid" TEXT;
CREATE INDEX "subject_unnamed_idx" ON "subject" ("tenantId", "id") WHERE "namesKid" IS NULL AND "key" IS NOT NULL;

CREATE TABLE "subject_name" (
    "tenantId" UUID NOT NULL,
    "subjectId" UUID NOT NULL,
    "n" INTEGER NOT NULL,
    "gram" BYTEA,

    CONSTRAINT "subject_name_pkey" PRIMARY KEY ("tenantId","subjectId","n")
);

-- The subject tells the tenant: a second key to look up would cost each filing that brings somebody new as much as the row.
ALTER TABLE "subject_name"
  ADD CONSTRAINT "subject_name_tenantId_subjectId_fkey" FOREIGN KEY ("tenantId", "subjectId") REFERENCES "subject",
  ADD CONSTRAINT "subject_name_gram_check" CHECK (length("gram") = 16);

CREATE INDEX "subject_name_gram_idx" ON "subject_name" ("tenantId", "gram", "subjectId") WHERE "gram" IS NOT NULL;

CALL wishwall_second_wall('subject_name');
GRANT SELECT, INSERT ON "subject_name" TO wishwall_app, wishwall_system;
GRANT UPDATE ("gram") ON "subject_name" TO wishwall_app, wishwall_system;
