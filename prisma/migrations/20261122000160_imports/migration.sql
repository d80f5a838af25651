-- Rows of an imported sheet that are dealt with: written with what they make, so that no row is taken twice. Non-breaking: a new table.

CREATE TABLE "import_row" (
    "tenantId" UUID NOT NULL,
    "operationId" UUID NOT NULL,
    "row" INTEGER NOT NULL,
    "state" TEXT NOT NULL,
    "faults" JSONB NOT NULL DEFAULT '[]',
    "madeId" UUID,

    CONSTRAINT "import_row_pkey" PRIMARY KEY ("tenantId","operationId","row")
);

-- Goes with its operation, when that has served its time.
ALTER TABLE "import_row"
  ADD CONSTRAINT "import_row_tenantId_operationId_fkey" FOREIGN KEY ("tenantId", "operationId") REFERENCES "operation" ON DELETE CASCADE,
  ADD CONSTRAINT "import_row_state_check" CHECK ("state" IN ('done', 'refused'));

CALL wishwall_second_wall('import_row');
GRANT SELECT, INSERT ON "import_row" TO wishwall_app;
GRANT SELECT ON "import_row" TO wishwall_system;
