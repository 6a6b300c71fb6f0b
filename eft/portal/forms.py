"""What people fill in. Each message says what to do; nothing here asks a database or a gateway."""

from __future__ import annotations

from wtforms import Field, Form, PasswordField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, Length, Regexp, ValidationError

from eft.domain.case import CASE_ID
from eft.domain.errors import PublicKeyInvalid
from eft.domain.public_key import is_private, parse_public_key

LONGEST_TEXT = 10_000


class _Form(Form):  # type: ignore[misc]  # WTForms has no types
    """The base of all forms."""


def _required(message: str) -> DataRequired:
    return DataRequired(message=message)


class SignInForm(_Form):
    email = StringField("E-mail address", [_required("Enter your e-mail address."), Length(max=254)])
    password = PasswordField("Password", [_required("Enter your password."), Length(max=1000)])


class ForgottenForm(_Form):
    email = StringField("E-mail address", [_required("Enter your e-mail address."), Length(max=254)])


class NewPasswordForm(_Form):
    password = PasswordField("New password", [_required("Enter a new password.")])
    again = PasswordField("The same again", [_required("Enter the new password a second time.")])


class CloseForm(_Form):
    sub_status = SelectField(
        "Sub status",
        [_required("Choose Resolved or Cancelled.")],
        choices=[SelectChoice("resolved", "Resolved"), SelectChoice("cancelled", "Cancelled")],
    )
    comment = TextAreaField(
        "Comment",
        [
            _required("Say in a sentence why the case is closed."),
            Length(max=LONGEST_TEXT, message=f"Shorten the comment to {LONGEST_TEXT} characters."),
        ],
    )


class ReopenForm(_Form):
    reason = TextAreaField(
        "New supporting information",
        [
            _required("Say what is new. Files can follow by Transfer Files once the case is open."),
            Length(max=LONGEST_TEXT, message=f"Shorten the text to {LONGEST_TEXT} characters."),
        ],
    )


class AccountRequestForm(_Form):
    text = TextAreaField("Why you need it", [Length(max=1000, message="Shorten the text to 1000 characters.")])


def _public_key(_form: Form, field: Field) -> None:
    """Refuses what is no key here already: a private key goes no further, and not back to the page either."""
    text = str(field.data or "")
    try:
        parse_public_key(text)
    except PublicKeyInvalid as error:
        if is_private(text):
            field.data = ""
        raise ValidationError(f"{error.detail} {error.remedy}") from None


class PublicKeyForm(_Form):
    public_key = TextAreaField("Public key", [_public_key])


class NewCaseForm(_Form):
    case_id = StringField(
        "Case number",
        [
            _required("Enter the case number."),
            Regexp(rf"\A{CASE_ID.pattern}\Z", message="A case number has 1 to 64 letters, digits, dots, underscores or dashes."),
        ],
    )
    region = SelectField("Region", [_required("Choose the customer's region.")])
    organisation = StringField("Organisation", [_required("Enter the organisation's name."), Length(max=200)])
    contact = StringField("Contact's e-mail address", [Length(max=254)])
    subject = StringField("Subject", [_required("Enter a subject."), Length(max=1000)])
