import Foundation

@testable import MQLockRabbitMQ

/// The test vectors that stand beside the article *The protocol mqlock.v1*.
struct ProtocolVectors: Decodable {
    struct Name: Decodable {
        let name, vhost, queue, register, mend, line, done: String
    }

    struct RefusedName: Decodable {
        let name, vhost: String
    }

    struct Queue: Decodable {
        let object, mutex: String
        /// Nil for a broker that does not tell its version.
        let brokers: [String?]
        let durable, exclusive, autoDelete: Bool
        /// Whether it is bound to the exchange, with its own name as the key.
        let bound: Bool
        let arguments: [String: Argument]

        var pairs: [String: FieldValue] { arguments.mapValues(\.value) }
    }

    struct Argument: Decodable {
        let value: FieldValue

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let flag = try? container.decode(Bool.self) {
                value = .bool(flag)
            } else if let number = try? container.decode(Int64.self) {
                value = .int64(number)
            } else if let text = try? container.decode(String.self) {
                value = .string(text)
            } else if let values = try? container.decode([Argument].self) {
                value = .array(values.map(\.value))
            } else {
                value = .table(try container.decode([String: Argument].self).mapValues(\.value))
            }
        }
    }

    struct Properties: Decodable {
        let contentType, type, appId, userId: String
        let messageId: String?
        let deliveryMode: UInt8
    }

    struct Exchange: Decodable {
        let name, type: String
        let durable, autoDelete: Bool
    }

    struct Message: Decodable {
        let mutexes: [String]
        let word, number, nonce, body: String
        let after: String?
        let properties: Properties
    }

    struct RefusedBody: Decodable, CustomStringConvertible {
        let mutexes: [String]
        let about: String
        /// What a receiver takes it for: `foreign` or `otherKind`.
        let `as`: String
        let body, hex: String?

        var bytes: [UInt8] {
            if let body { return Array(body.utf8) }
            let digits = Array(hex ?? "")
            return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)
            }
        }

        var description: String { "\(mutexes): \(about)" }
    }

    /// What a user of the broker needs for a role, and no more.
    struct Permission: Decodable {
        let role, configure, write, read: String
    }

    /// Which of the other members are there depends on the list.
    struct Number: Decodable {
        let unixMilliseconds: Int64
        let largest, seed, number, token: String?
        let headers: [String: Argument]?

        var fields: [String: FieldValue] { (headers ?? [:]).mapValues(\.value) }
    }

    struct Numbers: Decodable {
        let seeds, refusedSeeds, tokens, refusedTokens: [Number]
    }

    /// The exchange by which contenders are asked.
    struct Control: Decodable {
        struct Queue: Decodable {
            let object, id, name: String
            let durable, exclusive, autoDelete: Bool
            let arguments: [String: Argument]
            /// The key that it is bound with from the beginning, if any.
            let boundWith: String?
        }

        struct Key: Decodable {
            let name, key, hello: String
        }

        struct Message: Decodable {
            let kind, word, question, body: String
        }

        struct RefusedBody: Decodable {
            let about, body: String
        }

        let exchange: Exchange
        let properties: Properties
        let queues: [Queue]
        /// Where everybody who listens for any name is asked.
        let listKey: String
        let keys: [Key]
        let messages: [Message]
        let refusedBodies: [RefusedBody]
    }

    let `protocol`: String
    let exchange: Exchange
    /// Exchanges whose messages are foreign.
    let foreignExchanges: [String]
    let names: [Name]
    let refusedNames: [RefusedName]
    let queues: [Queue]
    let messages: [Message]
    let refusedBodies: [RefusedBody]
    let permissions: [Permission]
    let numbers: Numbers
    let control: Control

    static let all = Result {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Self.self, from: Data(contentsOf: catalog("Resources/mqlock-v1-vectors.json")))
    }

    /// A file of the documentation.
    static func catalog(_ path: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc/\(path)").standardizedFileURL
    }
}
