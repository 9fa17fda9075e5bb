import MQLock

extension Endpoint {
    /// A text for people about what a connection there exposes to others on the network; nil if nothing.
    var exposure: String? {
        if let tls {
            guard !tls.verifiesPeer else { return nil }
            return """
                the certificate of the broker at \(address) is not verified (insecure=true): whoever answers there learns \
                the password and can hand out locks; name its CA with cacertfile= instead
                """
        }
        guard let open = hosts.first(where: { !$0.name.isLoopbackHost }) else { return nil }
        return """
            the connection to the broker at \(open.address) is not encrypted: password and locks are open to the network; \
            use amqps://
            """
    }
}
