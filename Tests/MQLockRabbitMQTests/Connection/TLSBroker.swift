import Foundation
import Testing

@testable import MQLockRabbitMQ

/// The TLS listener of the test broker, as `brokers/with` tells of it.
enum TLSBroker {
    static let uri = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_TLS"]
    /// The certificates and keys of the listener, of its authority and of a client.
    static let folder = ProcessInfo.processInfo.environment["MQLOCK_TLS_DIR"]
    static let isThere = uri != nil && folder != nil
    static let reason: Comment = "needs a broker with TLS: install openssl, then brokers/with --rabbitmq -- swift test"

    static func endpoint(_ change: (inout Endpoint.TLS) throws -> Void = { _ in }) throws -> Endpoint {
        var endpoint = try AMQPURI.parse(try #require(uri))
        var tls = try #require(endpoint.tls)
        try change(&tls)
        endpoint.tls = tls
        return endpoint
    }

    static func file(_ name: String) throws -> String { "\(try #require(folder))/\(name)" }
}
