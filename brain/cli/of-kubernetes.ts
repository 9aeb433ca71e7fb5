/** Questions that only a brain in Kubernetes has answers to. */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";

/** What such a call gives; `FailedPrecondition` where the brain is of another kind, instead of the words for a route that it hasn't got. */
export async function ofKubernetes<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isAppError(error, "NotFound") || !/^there is no [A-Z]+ \/\S+ here$/.test(error.message)) throw error;
    throw new AppError(
      "FailedPrecondition",
      "this brain moves no volumes between tiers: only one that was started with --store kubernetes knows StoragePolicies and Migrations",
      { cause: error },
    );
  }
}
