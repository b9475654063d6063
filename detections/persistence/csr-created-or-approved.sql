-- /// detection
-- title = "A client certificate for the API server was requested"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098", "T1649"]
-- section = [1]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} requested certificate {name} of {signer} in {cluster}, from {client_ip}"
--
-- description = """
-- Signed by the cluster, it signs in as the name inside it, cannot be revoked and outlives every token. Kubelets and AKS
-- request theirs and are left out; a node asking for anything but a kubelet's certificate is not. Approvals are
-- csr-approved's. Requests for other signers (cert-manager, Istio) are silent. Without a body (level Metadata), or with
-- one cut before it, the signer is not known, and the rule fires for everyone not in lists/csr_approvers.csv. If the
-- request is not yours, deny it, and if it was approved, take the bindings of its name away.
-- """
-- false_positives = [
--   "People given a kubeconfig by certificate: use Entra sign-in",
--   "Controllers that request certificates of their own signer, at level Metadata: add them to lists/csr_approvers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    object -> 'spec' ->> 'signerName' AS signer,
    object -> 'spec' ->> 'expirationSeconds' AS lifetime_seconds,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'certificatesigningrequests'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND (
        (object -> 'spec' ->> 'signerName') = 'kubernetes.io/kube-apiserver-client'
        OR (
            (object -> 'spec' ->> 'signerName') = 'kubernetes.io/kube-apiserver-client-kubelet'
            AND coalesce(principal_class, 'other') <> 'node'
        )
        OR (
            (object -> 'spec' ->> 'signerName') IS NULL
            AND coalesce(principal_class, 'other') <> 'node'
            AND NOT listed('csr_approvers', username)
        )
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
