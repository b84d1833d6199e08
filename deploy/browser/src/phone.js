// Of libphonenumber-js, with the whole of the metadata, as the client's libphonenumber has it.
export { parsePhoneNumberFromString } from "libphonenumber-js/max";
