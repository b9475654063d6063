-- /// detection
-- title = "A network policy lets everything through"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.007"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) network policy {namespace}/{name} of {cluster} that lets everything through: ingress {ingress}, egress {egress}, from {client_ip}"
--
-- description = """
-- Policies add up: one that lets everything through undoes every stricter one for the pods it selects. A rule without
-- peers, or with 0.0.0.0/0 or ::/0, counts if it has no ports and no exceptions; a rule for DNS or one port does not,
-- nor does free egress in a policy that also closes ingress, which many charts ship. Creates, updates and patches
-- count, dry runs do not; Cilium and Calico policies are netpol-modified's. Without a body (level Metadata, or cut
-- before the rules) the rule stays silent and netpol-modified records the write. Restore the policy from git and look
-- at new connections into the namespace.
-- """
-- false_positives = [
--   "Policies of charts that open everything on purpose; GitOps: add the identity to lists/workload_deployers.csv",
--   "Debugging by hand",
-- ]
-- follow_up = ["network-policy-history", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    namespace,
    name,
    coalesce(object -> 'spec' ->> 'ingress', 'none') AS ingress,
    coalesce(object -> 'spec' ->> 'egress', 'none') AS egress,
    object -> 'spec' ->> 'podSelector' AS pods,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'networkpolicies'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('workload_deployers', username)
    AND regexp_like( -- one rule a line
        concat(
            array_to_string(json_get_array(object -> 'spec' ->> 'ingress'), chr(10)),
            chr(10),
            CASE
                WHEN NOT (object -> 'spec' ->> 'policyTypes') LIKE '%Ingress%'
                    THEN array_to_string(json_get_array(object -> 'spec' ->> 'egress'), chr(10))
            END
        ),
        '(?m)^\{\s*("(ports|from|to)"\s*:\s*(null|\[\s*\])\s*,?\s*)*\}$|^\{\s*("ports"\s*:\s*(null|\[\s*\])\s*,\s*)?"(from|to)"\s*:\s*\[(.*,)?\s*\{\s*"ipBlock"\s*:\s*\{\s*"cidr"\s*:\s*"(0\.0\.0\.0|::)/0"\s*\}\s*\}[^\]]*\](\s*,\s*"ports"\s*:\s*(null|\[\s*\]))?\s*\}$'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
