import Foundation

/// The broker's address, from `amqp://user:password@host:port/vhost?heartbeat=5`.
///
/// The lock library reads the same URI; the examples' own connection needs this part of it.
public struct BrokerAddress: Sendable {
    let host: String
    let port: Int
    let user: String
    let password: String
    let vhost: String
    /// In seconds. The orders of a worker that hangs go to another after two to three of them.
    let heartbeat: Int

    /// - Throws: ``ExampleError`` if it is no such URI.
    public init(_ uri: String) throws {
        guard let parts = URLComponents(string: uri), parts.scheme == "amqp" else {
            throw ExampleError("the examples speak plain AMQP: the broker's URI has to begin with amqp://")
        }
        host = parts.host ?? "127.0.0.1"
        port = parts.port ?? 5672
        user = parts.user ?? "guest"
        password = parts.password ?? "guest"
        // The first slash is not part of the name, and the default name is itself a slash.
        let path = parts.percentEncodedPath.dropFirst()
        vhost = path.isEmpty ? "/" : String(path).removingPercentEncoding ?? "/"
        heartbeat = parts.queryItems?.first { $0.name == "heartbeat" }?.value.flatMap(Int.init) ?? 10
        guard (1...3600).contains(heartbeat) else { throw ExampleError("the heartbeat has to be 1 to 3600 seconds") }
    }
}
