import MQLock

/// The options of `shards`.
struct ShardsOptions: Equatable {
    var broker = BrokerSource.environment
    var partitions: Int?
    var owner: String?
    var json = false
}

extension ShardsOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        func usage(_ message: String) -> CommandFailure { .usage(message, "shards") }

        guard words.command == nil else { throw usage("shards runs no command; mqlock elect does, on the leader") }
        if let operand = words.operands.first {
            throw usage(
                "'\(operand.escapedForDisplay)' is one word too many; the topic stands in the broker's URI, kafka://host/topic"
            )
        }
        if let text = words.values[.partitions] {
            guard let number = Int(text), (1...100_000).contains(number) else {
                throw usage("--partitions needs a number from 1 to 100000, not '\(text.escapedForDisplay)'")
            }
            partitions = number
        }
        if let text = words.values[.owner] {
            guard !text.isEmpty, text.utf8.count <= 200 else { throw usage("--owner needs 1 to 200 bytes of text") }
            owner = text
        }
        json = words.has(.json)
        broker = try BrokerSource(words, .shards)
    }
}
