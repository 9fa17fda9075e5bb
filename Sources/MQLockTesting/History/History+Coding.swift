#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension History.Event: Codable {
    private enum Key: String, CodingKey {
        case at, process, contender, name, event, token, cause, reason, validUntil, accepted, resource
    }

    private enum Word: String, Codable {
        case waiting, granted, ended, gaveUp, wrote, processDied, processStopped, processContinued, brokerDown, brokerUp
    }

    private enum Cause: String, Codable {
        case released, lost
    }

    /// Decodes the flat object that ``encode(to:)`` writes.
    /// - Throws: `DecodingError` for a missing key or an unknown word.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        at = try values.decode(UInt64.self, forKey: .at)
        process = try values.decode(String.self, forKey: .process)
        contender = try values.decodeIfPresent(String.self, forKey: .contender) ?? ""
        name = try values.decodeIfPresent(String.self, forKey: .name) ?? ""
        kind =
            switch try values.decode(Word.self, forKey: .event) {
            case .waiting: .waiting
            case .granted: .granted(token: try values.decode(UInt64.self, forKey: .token))
            case .ended:
                .ended(
                    cause: try values.decode(Cause.self, forKey: .cause) == .released
                        ? .released : .lost(try values.decode(String.self, forKey: .reason)),
                    validUntil: try values.decode(UInt64.self, forKey: .validUntil))
            case .gaveUp: .gaveUp
            case .wrote:
                .wrote(
                    token: try values.decode(UInt64.self, forKey: .token),
                    accepted: try values.decode(Bool.self, forKey: .accepted),
                    resource: try values.decode(String.self, forKey: .resource))
            case .processDied: .processDied
            case .processStopped: .processStopped
            case .processContinued: .processContinued
            case .brokerDown: .brokerDown
            case .brokerUp: .brokerUp
            }
    }

    /// Encodes as one flat object, for example
    /// `{"at":81,"contender":"a","event":"granted","name":"n","process":"w1","token":7}`.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode(at, forKey: .at)
        try values.encode(process, forKey: .process)
        if !contender.isEmpty { try values.encode(contender, forKey: .contender) }
        if !name.isEmpty { try values.encode(name, forKey: .name) }
        let word: Word
        switch kind {
        case .waiting: word = .waiting
        case .granted(let token):
            word = .granted
            try values.encode(token, forKey: .token)
        case .ended(let cause, let validUntil):
            word = .ended
            try values.encode(validUntil, forKey: .validUntil)
            switch cause {
            case .released: try values.encode(Cause.released, forKey: .cause)
            case .lost(let reason):
                try values.encode(Cause.lost, forKey: .cause)
                try values.encode(reason, forKey: .reason)
            }
        case .gaveUp: word = .gaveUp
        case .wrote(let token, let accepted, let resource):
            word = .wrote
            try values.encode(token, forKey: .token)
            try values.encode(accepted, forKey: .accepted)
            try values.encode(resource, forKey: .resource)
        case .processDied: word = .processDied
        case .processStopped: word = .processStopped
        case .processContinued: word = .processContinued
        case .brokerDown: word = .brokerDown
        case .brokerUp: word = .brokerUp
        }
        try values.encode(word, forKey: .event)
    }
}

extension History.Event {
    /// The event as one line of JSON, with its line feed: keys sorted, line feeds inside strings escaped.
    public var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The encoder fails only on numbers that JSON cannot hold, and an event has none.
        guard let data = try? encoder.encode(self) else { preconditionFailure("an event that JSON cannot hold") }
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    /// Reads one line, with or without its line feed.
    /// - Throws: `DecodingError` when it is not an event.
    public init(line: some StringProtocol) throws {
        self = try JSONDecoder().decode(Self.self, from: Data(line.utf8))
    }
}

extension History {
    /// Reads a file of lines. Blank lines are skipped. A last line without its line feed is skipped when it is not an
    /// event, because a process that dies while it writes leaves such a line.
    /// - Throws: `DecodingError` for any other line that is not an event.
    public static func events(fromLines text: String) throws -> [Event] {
        var events: [Event] = []
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where !line.isEmpty {
            do {
                events.append(try JSONDecoder().decode(Event.self, from: Data(line)))
            } catch  where index == lines.count - 1 {
                break
            }
        }
        return events
    }
}
