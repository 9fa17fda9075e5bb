#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A time zone by its name in the IANA time zone database.
///
/// FoundationEssentials knows only GMT by itself. The table of all zones comes with Foundation, and the product
/// MQLockTimeZones brings it into programs that do not use Foundation otherwise.
struct NamedTimeZone: Hashable, Sendable {
    let name: String
    let zone: TimeZone

    /// - Parameter name: `UTC`, or another name such as `Europe/Berlin`.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` when this program does not know it.
    init(_ name: String) throws(LockError) {
        guard let zone = name == "UTC" ? .gmt : Self.find(name) else {
            throw LockError(.invalidConfiguration, Self.refusal(of: name, hasTable: Self.hasTable))
        }
        (self.name, self.zone) = (name, zone)
    }

    static func refusal(of name: String, hasTable: Bool) -> String {
        guard hasTable else {
            return """
                this program knows no time zone but UTC: to use \(PeriodText.quoted(name)), add the product \
                MQLockTimeZones to the dependencies of its target
                """
        }
        return """
            there is no time zone \(PeriodText.quoted(name)) on this machine; use a name of the IANA time zone database, \
            such as Europe/Berlin
            """
    }

    private static func find(_ name: String) -> TimeZone? {
        let isName = name.utf8.allSatisfy { byte in
            PercentCoding.uri.encodes(byte) ? byte == UInt8(ascii: "/") || byte == UInt8(ascii: "+") : true
        }
        guard isName, (1...64).contains(name.utf8.count) else { return nil }
        return TimeZone(identifier: name)
    }

    private static let hasTable = TimeZone(identifier: "Europe/Berlin") != nil
}
