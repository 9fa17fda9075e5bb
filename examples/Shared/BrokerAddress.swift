import Foundation

/// Where the broker is, as `amqp://user:password@host:port/vhost?heartbeat=5` says it.
///
/// The lock library reads the same URI; this is what the examples' own connection needs of it.
public struct BrokerAddress: Sendable {
    let host: String
    let port: Int
    let user: String
    let password: String
    let vhost: String
    /// Seconds. A worker that hangs has its orders given to another after two to three of them.
    let heartbeat: Int

    /// - Throws: ``ExampleError`` for what is no such URI.
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
