-- Lists, search, bulk and what is done in the background. Non-breaking: functions, indexes, a table, and a column that may be null now.

-- Each filter has an index that begins with the tenant and ends with the order of the pages.
CREATE INDEX "request_item_idx" ON "request" ("tenantId", "itemId", "id");
CREATE INDEX "request_filedAt_idx" ON "request" ("tenantId", "filedAt", "id");
CREATE INDEX "request_app_idx" ON "request" ("tenantId", "filerClientId", "id") WHERE "filerId" IS NULL;
CREATE INDEX "request_beneficiary_idx" ON "request" ("tenantId", "beneficiaryId") WHERE "beneficiaryId" IS NOT NULL;
CREATE INDEX "request_guardian_idx" ON "request" ("tenantId", "guardianId") WHERE "guardianId" IS NOT NULL;
CREATE INDEX "deadline_due_idx" ON "deadline" ("tenantId", "dueAt", "requestId") WHERE "closedAt" IS NULL AND "stoodAt" IS NULL;

-- Search. The index is of the words as they stand: whatever writes, loads or erases a text, the index follows by itself,
-- and texts of before are in it too. Simplified and traditional characters are made one when it is asked (domain/search.ts).

-- Full width and half width are one, and so are ASCII's capital and small letters.
CREATE FUNCTION wishwall_folded(words text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN lower(normalize(words, NFKC) COLLATE "C");

-- Each character and each two neighbours; of ASCII letters and digits whole words. Punctuation is left out.
CREATE FUNCTION wishwall_grams(words text) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
  RETURN (SELECT array_to_tsvector(COALESCE(array_agg(DISTINCT gram), '{}')) FROM (
    SELECT left(word[1], 40) AS gram FROM regexp_matches(wishwall_folded(words), '[a-z0-9]+', 'g') word
    UNION ALL
    SELECT unnest(CASE WHEN next > (U&'\00A9' COLLATE "C") THEN ARRAY[c, c || next] ELSE ARRAY[c] END) FROM (
      SELECT c, lead(c) OVER (ORDER BY i) AS next FROM string_to_table(wishwall_folded(words), NULL) WITH ORDINALITY s(c, i)) pair
    WHERE c > (U&'\00A9' COLLATE "C") AND NOT (c >= (U&'\3000' COLLATE "C") AND c <= (U&'\3004' COLLATE "C")) AND NOT (c >= (U&'\3008' COLLATE "C") AND c <= (U&'\3011' COLLATE "C"))
  ) grams);

-- New rows wait in a short list: filing does not pay for sorting them in one by one, and reading never has long to look through.
CREATE INDEX "text_grams_idx" ON "text" USING gin (wishwall_grams("body")) WITH (gin_pending_list_limit = 512) WHERE "field" IN ('title', 'description', 'address');

-- Row-level security keeps an index on words out of use (its operators may tell by an error what they have seen): these two
-- run as the owner, name the tenant of the connection themselves, and answer ids alone. Confidential matters are in neither.
CREATE FUNCTION wishwall_found(query tsquery, pattern text) RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER ROWS 1000
  BEGIN ATOMIC
    SELECT t."requestId" FROM "text" t JOIN "request" r ON r."tenantId" = t."tenantId" AND r."id" = t."requestId"
    WHERE t."tenantId" = wishwall_tenant() AND t."field" IN ('title', 'description', 'address') AND wishwall_grams(t."body") @@ query
      AND wishwall_folded(t."body") ~ pattern AND NOT r."confidential" AND r."kind" <> 'mediation'
      AND NOT EXISTS (SELECT FROM "text" n WHERE n."tenantId" = t."tenantId" AND n."requestId" = t."requestId" AND n."field" = t."field" AND n."seq" > t."seq");
  END;

-- How many texts hold it, up to a bound: what is frequent is not collected, but met while walking from the newest.
CREATE FUNCTION wishwall_frequency(query tsquery, most int) RETURNS int LANGUAGE sql STABLE SECURITY DEFINER
  BEGIN ATOMIC
    SELECT count(*)::int FROM (SELECT FROM "text" t WHERE t."tenantId" = wishwall_tenant() AND t."field" IN ('title', 'description', 'address')
      AND wishwall_grams(t."body") @@ query LIMIT most) found;
  END;

REVOKE ALL ON FUNCTION wishwall_found(tsquery, text), wishwall_frequency(tsquery, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wishwall_found(tsquery, text), wishwall_frequency(tsquery, int) TO wishwall_app, wishwall_system;

-- An answer that is kept need not be of a request: nodes, people, items… are made under an Idempotency-Key too.
ALTER TABLE "idempotency" ALTER "requestId" DROP NOT NULL;

-- 后台任务: what takes longer than one answer. Done in steps under a lease, so that whoever is killed loses one step at most.
CREATE TABLE "operation" (
    "tenantId" UUID NOT NULL,
    "id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "personId" UUID,
    "clientId" UUID,
    "kid" TEXT NOT NULL,
    "input" BYTEA NOT NULL,
    "state" TEXT NOT NULL,
    "position" TEXT,
    "done" INTEGER NOT NULL DEFAULT 0,
    "failed" INTEGER NOT NULL DEFAULT 0,
    "total" INTEGER,
    "errors" JSONB NOT NULL DEFAULT '[]',
    "result" TEXT,
    "lease" INTEGER NOT NULL DEFAULT 0,
    "leasedUntil" TIMESTAMPTZ(3),
    "tries" INTEGER NOT NULL DEFAULT 0,
    "createdAt" TIMESTAMPTZ(3) NOT NULL,
    "endedAt" TIMESTAMPTZ(3),

    CONSTRAINT "operation_pkey" PRIMARY KEY ("tenantId","id")
);

ALTER TABLE "operation"
  ADD CONSTRAINT "operation_tenantId_fkey" FOREIGN KEY ("tenantId") REFERENCES "tenant",
  ADD CONSTRAINT "operation_tenantId_personId_fkey" FOREIGN KEY ("tenantId", "personId") REFERENCES "person",
  ADD CONSTRAINT "operation_tenantId_clientId_fkey" FOREIGN KEY ("tenantId", "clientId") REFERENCES "client",
  ADD CONSTRAINT "operation_state_check" CHECK ("state" IN ('waiting', 'running', 'done', 'failed') AND ("state" IN ('done', 'failed')) = ("endedAt" IS NOT NULL)),
  ADD CONSTRAINT "operation_owner_check" CHECK ("personId" IS NOT NULL OR "clientId" IS NOT NULL);

CREATE INDEX "operation_open_idx" ON "operation" ("createdAt") WHERE "endedAt" IS NULL;

CALL wishwall_second_wall('operation');
GRANT SELECT, INSERT ON "operation" TO wishwall_app;
GRANT SELECT ON "operation" TO wishwall_system;
GRANT UPDATE ("state", "position", "done", "failed", "total", "errors", "result", "lease", "leasedUntil", "tries", "endedAt") ON "operation" TO wishwall_system;
