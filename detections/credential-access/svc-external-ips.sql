-- /// detection
-- title = "A service takes over a foreign address"
-- severity = "high"
-- status = "stable"
-- attack = ["T1557"]
-- section = [2]
-- key = ["cluster", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) service {namespace}/{name} of {cluster} with the addresses {addresses}, from {client_ip}"
--
-- description = """
-- A service with externalIPs, or with a made-up address in its status, catches what the pods of the whole cluster send
-- to that address (CVE-2020-8554): a metadata service, a registry, a bank. On AKS nobody needs externalIPs, and only
-- the cloud controller writes the status (others: lists/service_status_writers.csv). Creates, updates and patches count
-- (an update that only repeats them too, once a day), dry runs do not. Without a body (level Metadata, or cut before
-- it) the rule stays silent. Remove the addresses, and see which pods send there.
-- """
-- false_positives = [
--   "Load balancers of your own in the cluster (MetalLB, kube-vip): add their account to lists/service_status_writers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "network-policy-history"]
-- ///

SELECT
    cluster,
    username,
    verb,
    subresource,
    namespace,
    name,
    coalesce(
        object -> 'spec' ->> 'externalIPs',
        object -> 'status' -> 'loadBalancer' ->> 'ingress'
    ) AS addresses,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'services'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND (
        (subresource IS NULL AND coalesce(object -> 'spec' ->> 'externalIPs', '[]') <> '[]')
        OR (
            subresource = 'status'
            AND coalesce(object -> 'status' -> 'loadBalancer' ->> 'ingress', '[]') <> '[]'
            AND NOT listed('service_status_writers', username)
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
