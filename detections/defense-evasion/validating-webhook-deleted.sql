-- /// detection
-- title = "A policy engine's admission check was deleted"
-- severity = "critical"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [8]
-- key = ["cluster", "username", "name"]
-- suppress = "1h"
-- summary = "{username} deleted ({verb}) the admission check {object_name} of {cluster}, from {client_ip}"
--
-- description = """
-- Azure Policy (Gatekeeper), Kyverno, image verification and AKS's own guardrails are validating webhooks, named in
-- lists/policy_webhooks.csv: with one gone, what it refused is accepted from that second on. Deleting the webhook with
-- which an operator checks its own kinds is webhook-config-changed's. The webhooks that change objects (workload
-- identity, Ratify) count where their name says azure-wi or ratify; other mutating ones do not. AKS, the garbage
-- collector and GitOps are left out, and an engine of lists/webhook_managers.csv that takes away webhooks named after
-- its namespace (Kyverno does when it stops); webhook-config-changed reports those. Other add-ons' accounts are not
-- left out. No body is needed; dry runs do not count when they ask in the address. Restore it, then look at everything
-- that was admitted in between.
-- """
-- false_positives = [
--   "Removing a policy engine by hand or by a pipeline",
-- ]
-- follow_up = ["webhook-changes", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    name,
    coalesce(name, '(all)') AS object_name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection')
    AND (
        (resource = 'validatingwebhookconfigurations' AND (name IS NULL OR listed('policy_webhooks', name)))
        OR (
            resource = 'mutatingwebhookconfigurations'
            AND (name IS NULL OR name LIKE '%azure-wi%' OR name LIKE '%ratify%')
        )
    )
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('cleanup_controllers', username)
    AND NOT listed('workload_deployers', username)
    AND NOT coalesce(
        listed('webhook_managers', username)
        AND starts_with(name, sa_namespace(username) || '-'),
        false
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
